"""Types of options: what their text may be, and the value that it becomes."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:  # it takes no type argument at run time before Click 8.4
    _ParamType = click.ParamType


class NonEmptyText(_ParamType):
    """Any text but an empty one, which is most often a shell variable that was never set."""

    name = "TEXT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the text."""
        if value == "":
            self.fail("it must not be empty", param, ctx)
        return value


class FilePath(click.Path):
    """A path. An empty text, which Click takes for the working directory, is refused."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.Path`."""
        if value == "":
            self.fail("it must not be empty", param, ctx)
        return super().convert(value, param, ctx)


class Bounds(_ParamType):
    """`LO:HI`, or one value for both.

    Args:
        number: The type of both.
        most: The largest `HI`.
        zero: Whether `LO` may be 0.
    """

    name = "LO:HI"

    def __init__(self, number: type[int] | type[float], most: float = sys.float_info.max, zero: bool = False) -> None:
        self._number, self._most, self._zero = number, most, zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `(low, high)`, both above 0, or at least 0 where 0 may be."""
        if isinstance(value, tuple):
            return value
        low, colon, high = value.partition(":")
        try:
            bounds = self._number(low), self._number(high if colon else low)
        except ValueError:
            kind = "whole numbers" if self._number is int else "numbers"
            self.fail(f"{value!r} is not LO:HI with two {kind}, nor a single one", param, ctx)
        if not 0 <= bounds[0] <= bounds[1] <= self._most or (bounds[0] == 0 and not self._zero):
            limit = f" <= {self._most}" if self._most < sys.float_info.max else ""
            self.fail(f"{value!r} must have 0 {'<=' if self._zero else '<'} LO <= HI{limit}", param, ctx)
        return bounds


class FiniteRange(click.FloatRange):
    """A range that refuses not-a-number, which passes every comparison with the bounds."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number", param, ctx)
        return number


class Choices(_ParamType):
    """`A,B,…`: distinct whole numbers above 0."""

    name = "A,B,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the numbers, in the order given."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers like 4,8,16", param, ctx)
        if min(numbers) < 1 or len(set(numbers)) < len(numbers):
            self.fail(f"{value!r} must hold distinct numbers of at least 1", param, ctx)
        return numbers


class Names(_ParamType):
    """`A,B,…`: distinct column names."""

    name = "A,B,…"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the names, in the order given."""
        if isinstance(value, tuple):
            return value
        names = tuple(part.strip() for part in value.split(","))
        if not all(names) or len(set(names)) < len(names):
            self.fail(f"{value!r} must hold distinct column names like feature1,feature2", param, ctx)
        return names


class Separator(_ParamType):
    """One character, or `tab`."""

    name = "CHAR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the character."""
        character = {"tab": "\t", "\\t": "\t"}.get(value, value)
        if len(character) != 1 or character in '"\r\n':
            self.fail(f"{value!r} is not one character such as ';', or tab", param, ctx)
        return character


class EncodingName(_ParamType):
    """The name of a text encoding that Python knows."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name."""
        try:
            "".encode(value)  # refuses codecs of bytes such as hex too
        except (LookupError, UnicodeError):
            self.fail(f"{value!r} is not an encoding such as utf-8, cp1252 or utf-16", param, ctx)
        return value


class Pruner(_ParamType):
    """`none`, `median` or `percentile:P`."""

    name = "none|median|percentile:P"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return `(percentile,)` or `(None,)`, as a tuple because Click takes None for an option that is not given."""
        if isinstance(value, tuple):
            return value
        if value in ("none", "median"):
            return (None if value == "none" else 50.0,)
        kind, _, share = value.partition(":")
        try:
            percentile = float(share)
        except ValueError:
            percentile = -1.0
        if kind != "percentile" or not 0 < percentile <= 100:
            self.fail(f"{value!r} is not none, median or percentile:P with 0 < P <= 100", param, ctx)
        return (percentile,)


class StudyName(_ParamType):
    """A name that can also be that of a folder."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name."""
        allowed = all(char.isalnum() or char in "-_." for char in value) and value.isascii()
        if not allowed or not value[:1].isalnum() or len(value) > 100:
            self.fail(
                f"{value!r} must be at most 100 letters, digits, '-', '_' or '.', a letter or digit first", param, ctx
            )
        return value
