"""Options from a TOML file (`--config`), in place of defaults; the environment and the command line go before it."""

from __future__ import annotations

import difflib
import tomllib
from pathlib import Path
from typing import Any

import click

from search.cli.param_types import Bounds

NOT_IN_A_FILE = ("config", "check", "sync", "version", "help")
"""Options that say what to do now, not how to search."""


def read_settings(path: Path, ctx: click.Context) -> dict[str, Any]:
    """Return the defaults that a settings file gives to the options of a command, by parameter.

    Args:
        path: The file. Its keys are options without the dashes in front, `batch-size = [8, 16]`.
        ctx: The command that runs.

    Raises:
        click.UsageError: The file cannot be read, is not TOML, or has a key that is no option or a value that its
            option refuses.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.UsageError(f"cannot read {path}: {error.strerror}; --config takes a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path} is not TOML: {error}.") from error
    options = {option_name(param): param for param in ctx.command.params if isinstance(param, click.Option)}
    options = {name: option for name, option in options.items() if name not in NOT_IN_A_FILE}
    defaults = {}
    for key, value in content.items():
        option = options.get(key)
        if option is None:
            close = difflib.get_close_matches(key, options, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "its keys are options without the dashes in front."
            raise click.UsageError(f"{path} has the unknown key {key!r}: {hint}")
        assert option.name is not None, "every option has a parameter"
        defaults[option.name] = text = _text(path, key, value, option)
        try:
            option.type_cast_value(ctx, text)
        except click.BadParameter as error:
            raise click.UsageError(f"{path}: {key}: {error.message}") from error
    return defaults


def option_name(option: click.Option) -> str:
    """Return the name of an option without the dashes in front."""
    return option.opts[0].removeprefix("--")


def _text(path: Path, key: str, value: Any, option: click.Option) -> str | bool:
    """Return a value as the command line would have it."""
    if option.is_flag != isinstance(value, bool):
        expected = "true or false" if option.is_flag else "a value, not true or false"
        raise click.UsageError(f"{path}: {key} must be {expected}.")
    if isinstance(value, bool):
        return value
    if isinstance(value, list) and not any(isinstance(part, (list, dict)) for part in value):
        return (":" if isinstance(option.type, Bounds) else ",").join(map(str, value))
    if isinstance(value, (list, dict)):
        raise click.UsageError(f"{path}: {key} must be text, a number, or a list of them.")
    return str(value)
