"""Reading a CSV file into arrays, block by block, with errors that name the line and the column.

pandas parses blocks of plain lines, the standard library's `csv` all others, cell by cell: small blocks, which takes
less time than importing pandas, blocks in which quotes matter, and blocks with an error, which is then located. Both
give the same arrays.

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
_BLOCK = 1 << 23  # characters read at a time
_SMALL = 1 << 18  # characters that `csv` parses in the time of importing pandas

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
# A cell in quotes that it does not need. The lookbehind comes second: the pattern then begins with a literal quote,
# for which `re` searches fastest.
_NEEDLESS_QUOTES = re.compile(r'"(?<![^,\r\n]")([^",\r\n]*)"(?![^,\r\n])')
_FLOAT32_BOUND = 2.0**128 - 2.0**103  # the least number that rounds to infinity in float32

ClassCode = Callable[[str], int]
"""Maps the text of a label to its class number; raises ValueError with the reason if it is not valid."""


@dataclass(frozen=True)
class Columns:
    """The columns of a file to read.

    Attributes:
        source: Name of the file, for messages.
        names: All column names.
        target: Position of the label column.
        features: Positions of the feature columns.
    """

    source: str
    names: tuple[str, ...]
    target: int
    features: tuple[int, ...]


@contextmanager
def open_csv(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Open a UTF-8 file, with or without a byte order mark.

    Raises:
        DataError: The file cannot be opened or read.
    """
    try:
        # `surrogateescape` lets bytes that are not UTF-8 pass, so that `_check_text` can name their line.
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            if stat.S_ISCHR(os.fstat(file.fileno()).st_mode):  # /dev/zero, for example, never ends
                raise DataError(f"{shown(path, limit=200)} is a device; give a CSV file")
            yield file
    except FileNotFoundError:
        raise DataError(f"there is no file {shown(path, limit=200)}; check the path") from None
    except IsADirectoryError:
        raise DataError(f"{shown(path, limit=200)} is a folder; give the CSV file in it") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(
            f"{shown(path, limit=200)} cannot be read: {reason}; check the file and its permissions"
        ) from None


def read_header(file: TextIO, source: str) -> tuple[tuple[str, ...], int]:
    """Read the header line.

    Args:
        file: A file of `open_csv`, at its beginning.
        source: Name of the file, for messages.

    Returns:
        The column names without surrounding blanks (a name may be empty), and the number of the next line.

    Raises:
        DataError: The file is empty, two columns have one name, or a name is not valid.
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
    """Read the rows below the header. Blank lines are skipped.

    Args:
        file: A file of `open_csv`, below its header.
        line: Number of the next line.
        columns: The columns to read.
        code: Maps labels to class numbers.

    Returns:
        Features `(N, F)` float32 and class numbers `(N,)` int32.

    Raises:
        DataError: There are no rows, a row has another length than the header, a feature is not a finite float32, or
            `code` refuses a label. The message names line and column.
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
    x += np.float32(0)  # turns -0.0 into 0.0, so that equal rows have equal bits
    return x, y


def checked_name(text: str) -> str:
    """Check a class or column name.

    Returns:
        The name without surrounding blanks.

    Raises:
        ValueError: The name is empty, too long, or has control characters. The text is the reason.
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
    """Parse a block with pandas, or return None if `_read_cells` must parse it."""
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
    # As "category", pandas would read the label 007 as 7. NumPy's types, as pandas parses a name for each column.
    dtypes = dict.fromkeys(features, np.dtype(np.float64)) | {columns.target: np.dtype(object)}
    try:
        frame = pd.read_csv(
            io.StringIO(text),
            header=None,
            names=list(range(len(columns.names))),
            usecols=[*features, columns.target],
            dtype=dtypes,
            na_filter=False,  # keeps a species called NA
            quoting=csv.QUOTE_NONE,
            low_memory=False,
        )
        occurrence, labels = pd.factorize(frame[columns.target])
        codes = np.array([code(label) for label in labels], dtype=np.int32)
    except ValueError:
        return None  # `_read_cells` will find the cell and raise with its line and column
    with np.errstate(over="ignore"):
        x = np.ascontiguousarray(frame[features].to_numpy(dtype=np.float32))
    return (x, codes[occurrence]) if np.isfinite(x).all() else None


def _read_cells(
    lines: Iterable[str], count: int, first_line: int, columns: Columns, code: ClassCode
) -> tuple[tuple[Floats, Labels], int]:
    """Parse the next `count` lines with `csv`.

    Returns:
        The arrays, and the number of lines used: more than `count` if a quoted cell spans the end of the block.
    """
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
        try:
            codes.append(code(row[columns.target]))
        except ValueError as reason:
            raise DataError(f"{where}, column {shown(columns.names[columns.target])}: {reason}") from None
        try:
            for position in columns.features:
                values.append(_number(row[position]))
        except ValueError as reason:
            raise DataError(
                f"{where}, column {shown(columns.names[position])}: {reason}, or choose other input columns",
                parameter="features",
            ) from None
    x = np.frombuffer(values, dtype=np.float32) if values else np.empty(0, np.float32)
    y = np.frombuffer(codes, dtype=np.int32) if codes else np.empty(0, np.int32)
    return (x.reshape(len(y), len(columns.features)), y), reader.line_num


def _number(cell: str) -> float:
    """The value of a feature; raises ValueError with the reason and the advice."""
    if _NUMBER.fullmatch(cell):
        number = float(cell)
        if abs(number) < _FLOAT32_BOUND:
            return number
        raise ValueError(f"a feature must fit into float32 (up to 3.4e38), found {shown(cell)}; rescale the column")
    if not cell.strip():
        raise ValueError("a feature must have a value, found an empty cell; fill it in, leave the row out")
    if cell.strip().lstrip("+-").lower() in ("nan", "inf", "infinity"):
        raise ValueError(f"a feature must be finite, found {shown(cell)}; correct it, leave the row out")
    raise ValueError(f"a feature must be a number, found {shown(cell)}; correct it")


def is_blank(row: list[str]) -> bool:
    """True for the row of a blank line."""
    return len(row) <= 1 and not "".join(row).strip()


def _check_text(lines: Iterable[str], source: str, first_line: int, step: int = 1) -> None:
    """Check that text has no NUL and no byte that was not UTF-8. `step` is 0 if all of it is on one line."""
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
