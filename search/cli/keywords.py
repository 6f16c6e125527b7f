"""Keyword arguments of a function as the options of a command: the same names, defaults, checks and error lines."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from insects.errors import InsectsError

_Request = TypeVar("_Request")

_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*[a-z])\b")


class ArgumentError(InsectsError, ValueError):
    """A keyword argument has a value that its option refuses, or contradicts another one."""


def request_of(
    command: click.Command,
    values: Mapping[str, Any],
    build: Callable[[Mapping[str, Any]], _Request],
    as_they_are: Collection[str] = (),
) -> tuple[_Request, Mapping[str, Any]]:
    """Return what keyword arguments ask for.

    Args:
        command: The command whose options they are.
        values: The arguments, by the names of the command's parameters. None, and False for a flag: not given.
        build: Makes the request from the values of all options; see `search.cli.requests`.
        as_they_are: Arguments that are used as they are.

    Returns:
        The request, and the values of all options.

    Raises:
        ArgumentError: The command would refuse them.
    """
    context = command.make_context(command.name, [])
    parameters = {parameter.name: parameter for parameter in command.params}
    with context.scope(cleanup=False):
        try:
            for name, value in values.items():
                if value is None or value is False:
                    continue
                if name not in as_they_are:
                    value = _converted(parameters[name], value, context)
                context.params[name] = value
                context.set_parameter_source(name, ParameterSource.COMMANDLINE)
            return build(context.params), context.params
        except click.UsageError as error:
            raise ArgumentError(error.format_message()) from None


def check_names(function: str, names: Collection[str], known: Collection[str]) -> None:
    """Check the names of keyword arguments.

    Args:
        function: The function that got them.
        names: The names.
        known: Those that it has.

    Raises:
        TypeError: It has no argument of such a name.
    """
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            advice = f". Did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"{function}() got an unexpected keyword argument {name!r}{advice}")


@contextmanager
def arguments_in_messages() -> Iterator[None]:
    """Name arguments in place of options in error lines: `--split-seed` -> `split_seed`."""
    try:
        yield
    except InsectsError as error:
        error.args = (_OPTION.sub(lambda found: found[1].replace("-", "_"), str(error)),)
        raise


def _converted(parameter: click.Parameter, value: Any, context: click.Context) -> Any:
    """Return a value as the option's type would make it from the text that one would type."""
    if value is True or isinstance(value, os.PathLike):
        return parameter.type_cast_value(context, value)
    if isinstance(value, (list, tuple, range)):
        if parameter.type.name == "LO:HI":
            value = ":".join(map(str, value))
        elif all(isinstance(part, str) for part in value):
            return tuple(value)  # column names, which may hold commas
        else:
            value = ",".join(map(str, value))
    return parameter.type_cast_value(context, str(value))
