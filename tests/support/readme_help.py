"""The help texts in the README. `python -m tests.support.readme_help` writes them; a test compares them."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import click

README = Path(__file__).parents[2] / "README.md"
_BLOCK = re.compile(r"<!-- help: (\S+) -->\n(?:\n```\n.*?\n```\n)?", re.DOTALL)


def help_text(name: str) -> str:
    """The `--help` of a command on a terminal of 100 columns."""
    (entry,) = metadata.entry_points(group="console_scripts", name=name)
    command: click.Command = entry.load()
    with click.Context(command, info_name=name, terminal_width=100, max_content_width=100) as context:
        return command.get_help(context)


def with_help(text: str) -> str:
    """The text of the README with the help of a command after each marker."""
    return _BLOCK.sub(lambda match: f"{match[0].partition(chr(10))[0]}\n\n```\n{help_text(match[1])}\n```\n", text)


if __name__ == "__main__":
    README.write_text(with_help(README.read_text(encoding="utf-8")), encoding="utf-8")
