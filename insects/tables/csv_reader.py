"""The cells of a CSV file as arrays, block by block; a fault is told with its line and column.

A block of plain lines goes through pandas' parser. Everything else goes cell by cell through the standard library's:
blocks with quotes that matter, and those in which something is wrong, which then finds what and where. Small blocks do
too, as that takes less than importing pandas. Both give the same arrays.

Shapes: N rows, F features.
"""

from __future__ import annotations

import csv
import io
import os
import re
import stat
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TextIO

import numpy as np

from insects.errors import DataError
from insects.mlp import Floats
from insects.splits import Labels
from insects.text import shown

LONGEST_NAME = 255
_BLOCK = 1 << 23  # characters read at once
_SMALL = 1 << 18  # characters read in less time than pandas is imported

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
# A cell in quotes that it does not need. It begins with the quote, as a search for one character is the fastest.
_NEEDLESS_QUOTES = re.compile(r'"(?<![^,\r\n]")([^",\r\n]*)"(?![^,\r\n])')
_FLOAT32_BOUND = 2.0**128 - 2.0**103  # from here on a float32 rounds to infinity

ClassCode = Callable[[str], int]
"""The class number of a label's text; raises ValueError with the reason where it has none."""


@dataclass(frozen=True)
class Columns:
    """What is read of a file: all its column names, and the positions of the label and of the features among them."""

    source: str
    names: tuple[str, ...]
    target: int
    features: tuple[int, ...]


@contextmanager
def open_csv(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a UTF-8 file, with or without byte order mark. Raises: DataError: it cannot be opened or read."""
    try:
        # What is not UTF-8 becomes surrogates, which `_check_text` finds and tells with the line.
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            if stat.S_ISCHR(os.fstat(file.fileno()).st_mode):  # some of them never end
                raise DataError(f"{shown(path, limit=200)} is a device; give a CSV file")
            yield file
    except FileNotFoundError:
        raise DataError(f"there is no file {shown(path, limit=200)}; check the path") from None
    except IsADirectoryError:
        raise DataError(f"{shown(path, limit=200)} is a folder; give the CSV file in it") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"{shown(path, limit=200)} cannot be read: {reason}; check the file and its rights") from None


def read_header(file: TextIO, source: str) -> tuple[tuple[str, ...], int]:
    """Column names, stripped of surrounding blanks (empty ones stay empty), and the number of the line after them.

    Raises: DataError: an empty file, a column name twice, a name that is no name.
    """
    reader = csv.reader(file, strict=True)
    try:
        names = next((tuple(cell.strip() for cell in row) for row in reader if not is_blank(row)), None)
    except csv.Error as error:
        raise DataError(
            f"{source}, line {reader.line_num}: the header is not valid CSV: {error}; "
            "separate names by commas and check their quotes"
        ) from None
    if names is None:
        raise DataError(f"{source} is empty; it needs a header line with the column names, and rows")
    line = max(reader.line_num, 1)
    _check_text(names, source, line, step=0)
    first_seen: dict[str, int] = {}
    for position, name in enumerate(names):
        try:
            checked_name(name or "unnamed")
        except ValueError as reason:
            raise DataError(f"{source}, line {line}: the name of column {position + 1} {reason}") from None
        if name and first_seen.setdefault(name, position) != position:
            raise DataError(
                f"{source}, line {line}: a column name must occur once, found {shown(name)} "
                f"as columns {first_seen[name] + 1} and {position + 1}; rename one"
            )
    return names, line + 1


def read_rows(file: TextIO, line: int, columns: Columns, code: ClassCode) -> tuple[Floats, Labels]:
    """Features `(N, F)` float32 and class numbers `(N,)` of the rows from line `line` on; blank lines are passed over.

    Raises: DataError: no rows, a row of another length than the header, a feature that is not a finite float32,
    a label that `code` refuses; with line and column.
    """
    blocks: list[tuple[Floats, Labels]] = []
    while lines := file.readlines(_BLOCK):
        _check_text(lines, columns.source, line)
        block = _read_plain(lines, columns, code)
        if block is None:
            block, used = _read_cells(chain(lines, file), len(lines), line, columns, code)
        else:
            used = len(lines)
        blocks.append(block)
        line += used
    x = np.concatenate([np.empty((0, len(columns.features)), np.float32), *(x for x, _ in blocks)])
    y = np.concatenate([np.empty(0, np.int32), *(y for _, y in blocks)])
    if len(y) == 0:
        raise DataError(f"{columns.source} has a header but no rows; add some")
    x += np.float32(0)  # makes -0.0 the same as 0.0
    return x, y


def checked_name(text: str) -> str:
    """The text of a class or column name without surrounding blanks.

    Raises: ValueError: with the reason: it is empty, too long, or holds control characters.
    """
    name = text.strip()
    if not name:
        raise ValueError("must not be empty; fill it in or leave the row out")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"must have at most {LONGEST_NAME} characters, found {len(name)}: {shown(name)}; shorten it")
    if not name.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise ValueError(f"must not hold control characters, found {shown(name)}; take them out")
    return name


def _read_plain(lines: list[str], columns: Columns, code: ClassCode) -> tuple[Floats, Labels] | None:
    """The block by pandas, or None if it has to go cell by cell."""
    text = "".join(lines)
    if len(text) < _SMALL:
        return None
    if '"' in text:
        text = _NEEDLESS_QUOTES.sub(r"\1", text)
    commas = len(columns.names) - 1
    if '"' in text or any(line.count(",") != commas for line in lines):
        return None
    import pandas as pd

    features = list(columns.features)
    dtypes = dict.fromkeys(features, "float64") | {columns.target: "object"}  # "category" would read 007 as 7
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            header=None,
            names=list(range(len(columns.names))),
            usecols=[*features, columns.target],
            dtype=dtypes,
            na_filter=False,  # a species may be called NA; a number may not
            quoting=csv.QUOTE_NONE,
            low_memory=False,
        )
        occurrence, labels = pd.factorize(frame[columns.target])
        codes = np.array([code(label) for label in labels], dtype=np.int32)
    except ValueError:
        return None  # cell by cell it will be told where and why
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(frame[features].to_numpy(dtype=np.float32))
    return (x, codes[occurrence]) if np.isfinite(x).all() else None


def _read_cells(
    lines: Iterable[str], count: int, first_line: int, columns: Columns, code: ClassCode
) -> tuple[tuple[Floats, Labels], int]:
    """The rows of the next `count` lines and the lines used: more where a quoted cell goes on after them."""
    reader = csv.reader(lines, strict=True)
    values, codes = array("f"), array("i")
    while reader.line_num < count:
        where = f"{columns.source}, line {first_line + reader.line_num}"
        try:
            row = next(reader)
        except csv.Error as error:
            raise DataError(f"{where}: the row is not valid CSV: {error}; check its quotes") from None
        if is_blank(row):
            continue
        if len(row) != len(columns.names):
            raise DataError(f"{where}: a row must have {len(columns.names)} cells like the header, found {len(row)}")
        position = columns.target
        try:
            codes.append(code(row[position]))
            for position in columns.features:
                values.append(_number(row[position]))
        except ValueError as reason:
            raise DataError(f"{where}, column {shown(columns.names[position])}: {reason}") from None
    x = np.frombuffer(values, dtype=np.float32) if values else np.empty(0, np.float32)
    y = np.frombuffer(codes, dtype=np.int32) if codes else np.empty(0, np.int32)
    return (x.reshape(len(y), len(columns.features)), y), reader.line_num


def _number(cell: str) -> float:
    if _NUMBER.fullmatch(cell):
        number = float(cell)
        if abs(number) < _FLOAT32_BOUND:
            return number
        raise ValueError(f"a feature must fit into float32 (up to 3.4e38), found {shown(cell)}; rescale the column")
    if not cell.strip():
        raise ValueError("a feature must have a value, found an empty cell; fill it in or leave the row out")
    if cell.strip().lstrip("+-").lower() in ("nan", "inf", "infinity"):
        raise ValueError(f"a feature must be finite, found {shown(cell)}; correct it or leave the row out")
    raise ValueError(f"a feature must be a number, found {shown(cell)}; correct it or name the inputs with --features")


def is_blank(row: list[str]) -> bool:
    """Whether a row is a blank line."""
    return len(row) <= 1 and not "".join(row).strip()


def _check_text(lines: Iterable[str], source: str, first_line: int, step: int = 1) -> None:
    text = "".join(lines)
    if "\0" not in text and (text.isascii() or not _has_surrogates(text)):
        return
    for number, line in enumerate(lines):
        where = f"{source}, line {first_line + step * number}"
        if "\0" in line:
            raise DataError(f"{where}: a CSV file must be text, found a NUL byte; export the table as CSV (UTF-8)")
        if _has_surrogates(line):
            raise DataError(f"{where}: a CSV file must be UTF-8, found other bytes; export the table as CSV (UTF-8)")


def _has_surrogates(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
