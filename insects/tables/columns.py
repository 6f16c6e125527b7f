"""The kinds of columns, decided once on training rows, and rows coded by them.

A coded row (see `insects.encoder`) has for a `number` column its number, for a `category` column the number of its
level, and for a `date` column four numbers or three: days since the earliest training row, month, weekday and, where
there is one, the hour.

Shapes: N rows, K coded columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from insects.encoder import CodedColumn
from insects.errors import DataError
from insects.mlp import Floats
from insects.tables import cells
from insects.tables.cells import Texts
from insects.text import listed, shown

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "category", "date"]

MOST_LEVELS = 100
"""Most levels of a category with a number of their own: the most frequent ones."""

FEWEST_IN_A_LEVEL = 2
_FEWEST_IDS = 20  # cells: among fewer, different texts are no sign of an id
_ID_SHARE = 0.95  # of the texts of an id that are different
_NUMBER_SHARE, _MIXED_SHARE, _DATE_SHARE = 0.9, 0.5, 0.9
_FREE_WORDS, _FREE_SHARE = 3, 0.1  # free text has so many words a cell, and so many different texts
_INDEX_NAMES = ("", "rownames", "row.names", "row_names")
_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Column:
    """A column that the model uses.

    Attributes:
        name: Its name.
        kind: What its cells are.
        levels: The levels of a category, in the order of their codes.
        date_format: How a date is written; see `insects.tables.cells.DATE_FORMATS`.
        start: The earliest date, `2020-01-31`.
        has_clock: Whether dates have a time of day.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    date_format: str = ""
    start: str = ""
    has_clock: bool = False

    @property
    def coded(self) -> tuple[CodedColumn, ...]:
        """The coded columns made from it."""
        if self.kind == "category":
            return (CodedColumn(self.name, self.levels),)
        parts = (
            ("", " (month)", " (weekday)", " (hour)")[: 4 if self.has_clock else 3] if self.kind == "date" else ("",)
        )
        return tuple(CodedColumn(f"{self.name}{part}") for part in parts)

    def code(self, values: pd.Series, decimal: str = ".") -> Floats:
        """Code the cells of the column: `(N, 1)`, of a date `(N, 3)` or `(N, 4)`."""
        if self.kind == "number":
            return as_float32(cells.numbers(values, decimal))[:, None]
        if self.kind == "date":
            return self._code_dates(values)
        found = cells.texts(values)
        number = {level: code for code, level in enumerate(self.levels)}
        codes = [number.get(text, len(self.levels)) for text in found.texts]
        return np.array([*codes, np.nan], np.float32)[found.code][:, None]

    def _code_dates(self, values: pd.Series) -> Floats:
        time_N = cells.times(values, self.date_format)
        day_N = time_N.astype("datetime64[D]")
        month_N = time_N.astype("datetime64[M]").astype(np.int64) % 12 + 1
        weekday_N = (day_N.astype(np.int64) + 3) % 7  # 0 is Monday; day 0 was a Thursday
        hour_N = (time_N - day_N) / np.timedelta64(1, "h")
        since_N = (day_N - np.datetime64(self.start, "D")) / np.timedelta64(1, "D") + hour_N / 24
        parts_NK = np.stack([since_N, month_N, weekday_N, hour_N], axis=1)[:, : len(self.coded)]
        parts_NK[np.isnat(time_N)] = np.nan
        return parts_NK.astype(np.float32)


@dataclass(frozen=True)
class Columns:
    """The columns that a model uses, in order.

    Attributes:
        columns: The columns.
    """

    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def coded(self) -> tuple[CodedColumn, ...]:
        """K coded columns."""
        return tuple(coded for column in self.columns for coded in column.coded)

    def places(self) -> Iterator[tuple[int, Column]]:
        """Each column, after the place of its first coded column."""
        place = 0
        for column in self.columns:
            yield place, column
            place += len(column.coded)

    def check_present(self, names: Sequence[str], source: str) -> None:
        """Check that a table has these columns.

        Args:
            names: The columns of the table.
            source: Its name, for messages.

        Raises:
            DataError: A column is missing. The message names all of them.
        """
        absent = [name for name in self.names if name not in names]
        if absent:
            noun = "column" if len(absent) == 1 else "columns"
            raise DataError(
                f"{source} lacks {noun} {listed(absent)} of the model; its columns are {listed(names)}; "
                "add what is missing"
            )

    def code(self, frame: pd.DataFrame, source: str, decimal: str = ".") -> Floats:
        """Code rows.

        Args:
            frame: N rows with these columns, in any order, among others.
            source: Name of the table, for messages.
            decimal: The decimal mark in texts.

        Returns:
            `(N, K)` float32, C-contiguous.

        Raises:
            DataError: A column is missing.
        """
        self.check_present([str(name) for name in frame.columns], source)
        coded = np.empty((len(frame), len(self.coded)), np.float32)
        for place, column in self.places():
            part = column.code(frame[column.name], decimal)
            coded[:, place : place + part.shape[1]] = part
        coded += np.float32(0)  # turns -0.0 into 0.0, so that equal rows have equal bits
        return coded

    def as_dict(self) -> list[dict[str, Any]]:
        """The columns for JSON; see `from_dict`."""
        return [{key: value for key, value in vars(column).items() if value} for column in self.columns]

    @classmethod
    def from_dict(cls, content: Sequence[dict[str, Any]]) -> Columns:
        """Read what `as_dict` made.

        Raises:
            TypeError, ValueError: It is not that.
        """
        columns = [Column(**{**column, "levels": tuple(column.get("levels", ()))}) for column in content]
        if any(column.kind not in get_args(Kind) for column in columns):
            raise ValueError("a column is of no known kind")
        return cls(tuple(columns))

    @classmethod
    def of_numbers(cls, names: Sequence[str]) -> Columns:
        """Columns of numbers with these names."""
        return cls(tuple(Column(name, "number") for name in names))


@dataclass(frozen=True)
class FoundColumns:
    """The kinds found on rows.

    Attributes:
        columns: The columns to use.
        dropped: Name and reason of each other column.
        others: Name of each number column with cells that are neither missing nor numbers, and the rows of these cells.
    """

    columns: Columns
    dropped: tuple[tuple[str, str], ...]
    others: tuple[tuple[str, tuple[int, ...]], ...]


def find_columns(
    frame: pd.DataFrame,
    source: str,
    categorical: Collection[str] = (),
    numeric: Collection[str] = (),
    decimal: str = ".",
) -> FoundColumns:
    """Decide the kinds of columns.

    Args:
        frame: The rows that decide.
        source: Name of the table, for messages.
        categorical: Columns that are categories, whatever they hold.
        numeric: Columns that are numbers, whatever they hold.
        decimal: The decimal mark in texts.

    Returns:
        The kinds.

    Raises:
        DataError: Columns hold half numbers and half texts, or no column is left. The message names all of them.
    """
    found: list[Column] = []
    dropped: list[tuple[str, str]] = []
    others: list[tuple[str, tuple[int, ...]]] = []
    mixed: dict[str, str] = {}
    for name in frame.columns:
        forced: Kind | None = "category" if name in categorical else "number" if name in numeric else None
        kind = _kind(frame[name], forced, decimal)
        if isinstance(kind, str):
            dropped.append((name, kind))
        elif isinstance(kind, _Mixed):
            mixed[name] = f"{shown(name)} ({kind.levels:,} different texts, {100 * kind.share:.0f} % numbers)"
        else:
            column, odd = kind
            found.append(Column(name, **column))
            others += [(name, odd)] if odd else []
    if mixed:
        raise DataError(
            f"{source}: a column must hold numbers or up to {MOST_LEVELS} different texts, found "
            f"{', '.join(mixed.values())}; correct the cells, or leave out {','.join(mixed)}",
            parameter="drop",
        )
    if not found:
        reasons = ", ".join(f"{shown(name)} ({reason})" for name, reason in dropped[:10])
        raise DataError(f"{source}: no column is left to learn from: {reasons or 'there is none beside the labels'}")
    return FoundColumns(Columns(tuple(found)), tuple(dropped), tuple(others))


def find_identifiers(frame: pd.DataFrame, kept: Collection[str] = (), decimal: str = ".") -> dict[str, str]:
    """Find columns that name rows instead of describing them. To be asked about all rows: a part of them has gaps.

    Args:
        frame: All rows of a table.
        kept: Columns that are none, whatever they hold.
        decimal: The decimal mark in texts.

    Returns:
        The reason, by the name of the column.
    """
    reasons = {str(name): _identifier(name, frame[name], decimal) for name in frame.columns if name not in kept}
    return {name: reason for name, reason in reasons.items() if reason}


def as_float32(number_N: np.ndarray[Any, np.dtype[np.float64]]) -> Floats:
    """Numbers as float32; NaN where they do not fit."""
    with np.errstate(over="ignore"):
        value_N = number_N.astype(np.float32)
    value_N[np.isinf(value_N)] = np.nan
    return value_N


def _identifier(name: str, values: pd.Series, decimal: str) -> str:
    """The reason why a column is an identifier; empty if it is none."""
    if name.casefold() in _INDEX_NAMES:
        return "the rows' names"
    if values.dtype.kind in "iu" or (values.dtype.kind == "f" and np.isfinite(values).all()):
        number_N = np.sort(values.to_numpy())
        if len(number_N) >= _FEWEST_IDS and bool((np.diff(number_N) == 1).all()):
            return "counts the rows"
    if values.dtype.kind not in "iufbM" and not _holds_lists(values):
        found = cells.texts(values)
        is_numeric = np.mean(np.isnan(cells.numbers(values, decimal))) < _MIXED_SHARE
        if _is_id(found) and not is_numeric and not cells.date_format_of(found, _DATE_SHARE):
            return _id_reason(found)
    return ""


def _holds_lists(values: pd.Series) -> bool:
    return values.dtype == object and any(isinstance(value, (list, dict, tuple)) for value in values)


def _kind(
    values: pd.Series, forced: Kind | None, decimal: str
) -> tuple[dict[str, Any], tuple[int, ...]] | _Mixed | str:
    """The fields of a `Column` and the rows of other cells, or the reason to drop it."""
    if _holds_lists(values):
        return "holds lists"
    is_numeric = values.dtype.kind in "iuf"
    if forced == "number" or (is_numeric and forced is None):
        return _number_kind(values, decimal)
    if values.dtype.kind == "M" and forced is None:
        return _date_kind(values, "ISO8601")
    found = cells.texts(values)
    if not found.known:
        return "empty"
    if len(found.texts) == 1 and found.known == len(values):
        return f"always {shown(found.texts[0], limit=20)}"
    if forced is None and values.dtype.kind != "b":
        share = float(np.mean(~np.isnan(cells.numbers(values, decimal)[found.code >= 0])))
        if share >= _NUMBER_SHARE:
            return _number_kind(values, decimal)
        if share >= _MIXED_SHARE and len(found.texts) > MOST_LEVELS:
            return _Mixed(len(found.texts), share)
        date_format = cells.date_format_of(found, _DATE_SHARE)
        if date_format:
            return _date_kind(values, date_format)
        if reason := _unusable(found):
            return reason
    return {"kind": "category", "levels": _levels(found)}, ()


@dataclass(frozen=True)
class _Mixed:
    """A column of numbers and too many different texts."""

    levels: int
    share: float


def _number_kind(values: pd.Series, decimal: str) -> tuple[dict[str, Any], tuple[int, ...]] | str:
    number_N = as_float32(cells.numbers(values, decimal))
    missing_N = np.isnan(number_N)
    if missing_N.all():
        return "no cell is a number" if (cells.texts(values).code >= 0).any() else "empty"
    if not missing_N.any() and number_N.min() == number_N.max():
        return f"always {number_N[0]:g}"
    odd = np.flatnonzero(missing_N & (cells.texts(values).code >= 0)) if missing_N.any() else ()
    return {"kind": "number"}, tuple(map(int, odd))


def _date_kind(values: pd.Series, date_format: str) -> tuple[dict[str, Any], tuple[int, ...]] | str:
    time_N = cells.times(values, date_format)
    known = time_N[~np.isnat(time_N)]
    if not len(known):
        return "empty"
    if len(known) == len(time_N) and known.min() == known.max():
        return f"always {known[0]}"
    day = known.astype("datetime64[D]")
    return {
        "kind": "date",
        "date_format": date_format,
        "start": str(day.min()),
        "has_clock": bool((known != day).any()),
    }, ()


def _unusable(found: Texts) -> str:
    """The reason to drop a column of texts; empty if it is a category."""
    if _is_id(found):
        return _id_reason(found)
    different = len(found.texts)
    sample = found.texts[:: max(1, different // 200)]
    if different > max(_FEWEST_IDS, _FREE_SHARE * found.known) and (
        np.mean([len(text.split()) for text in sample]) >= _FREE_WORDS
    ):
        return f"free text: {different:,} different texts"
    return ""


def _is_id(found: Texts) -> bool:
    return found.known >= _FEWEST_IDS and len(found.texts) >= _ID_SHARE * found.known


def _id_reason(found: Texts) -> str:
    return f"an id: {len(found.texts):,} different texts in {found.known:,} rows"


def _levels(found: Texts) -> tuple[str, ...]:
    """The texts seen often enough, at most the `MOST_LEVELS` most frequent ones, sorted."""
    counts = found.counts
    often = sorted((-count, text) for text, count in zip(found.texts, counts.tolist(), strict=True))
    kept = [text for count, text in often if -count >= FEWEST_IN_A_LEVEL][:MOST_LEVELS]
    return tuple(sorted(kept))
