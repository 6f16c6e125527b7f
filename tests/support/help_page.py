"""The page of the commands' help, `docs/commands.md`: `python -m tests.support.help_page` writes it."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import click

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
COMMANDS = ("insects-search", "insects-evaluate", "insects-predict", "insects-describe", "insects-ui")
_HEAD = "# Commands\n\nThe `--help` of each command, written by `python -m tests.support.help_page`.\n"


def help_page() -> str:
    """The page, from the installed commands."""
    return _HEAD + "".join(f"\n## {name}\n\n```\n{_help_text(name)}\n```\n" for name in COMMANDS)


def _help_text(name: str) -> str:
    """The `--help` of a command on a terminal of 100 columns."""
    (entry,) = metadata.entry_points(group="console_scripts", name=name)
    command: click.Command = entry.load()
    with click.Context(command, info_name=name, terminal_width=100, max_content_width=100) as context:
        return command.get_help(context)


if __name__ == "__main__":
    PAGE.write_text(help_page(), encoding="utf-8")
