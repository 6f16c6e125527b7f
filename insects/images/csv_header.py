"""The header of a CSV file of annotations: opening the file, and checking that it is text."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO

from insects.errors import DataError
from insects.tables.names import checked_name
from insects.text import shown


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
