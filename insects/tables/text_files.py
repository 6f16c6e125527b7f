"""Text files of tables: their encoding, separator and decimal mark, and the checks of header and rows."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import IO, Any, TextIO

from insects.errors import DataError
from insects.tables.compressed import COMPRESSED, open_bytes
from insects.tables.names import STANDARD_INPUT, checked_name, source_name
from insects.text import shown

SEPARATORS = ",;\t|"
_BEGINNING = 1 << 16  # bytes that are looked at
_LONGEST_BEGINNING = 1 << 24  # if the header is longer
_LINES, _FEWEST_LINES = 50, 3  # that decide the separator
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
FALLBACK = "cp1252"
_UTF8 = ("utf-8", "utf-8-sig")


@dataclass(frozen=True)
class TableFormat:
    """How a text file is read; None: found by looking at its beginning.

    Attributes:
        separator: The character between cells.
        decimal: The decimal mark, `.` or `,`.
        encoding: Python's name of the encoding.
    """

    separator: str | None = None
    decimal: str | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class TextFile:
    """A text file whose format is known.

    Attributes:
        path: The file; `-` is standard input.
        source: Its name, for messages.
        separator: The character between cells.
        decimal: The decimal mark.
        encoding: Python's name of the encoding.
        header: The column names as they are written, an empty one in front if only the rows have it.
        header_lines: Number of lines up to the end of the header.
        header_bytes: Number of bytes of these lines, in UTF-8 with its mark.
        has_returns: Whether its lines end with a carriage return alone. After a skipped line of such a file pandas
            overlooks an empty first cell.
        content: The bytes of standard input, which can be read only once.
    """

    path: str
    source: str
    separator: str
    decimal: str
    encoding: str
    header: tuple[str, ...]
    header_lines: int
    header_bytes: int
    has_returns: bool = False
    content: bytes | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is an uncompressed file in UTF-8 with a header of one line, which pandas may open itself."""
        compressed = os.path.splitext(self.path)[1].lower() in COMPRESSED
        is_usual = self.encoding in _UTF8 and self.header_lines == 1 and not self.has_returns
        return is_usual and self.content is None and not compressed

    @contextmanager
    def open_bytes(self) -> Iterator[IO[bytes]]:
        """Open the uncompressed bytes, from the beginning."""
        if self.content is not None:
            yield io.BytesIO(self.content)
            return
        with open_bytes(self.path) as file:
            yield file

    @contextmanager
    def open_rows(self) -> Iterator[IO[bytes]]:
        """Open what is below the header, in UTF-8, with line feeds where it has carriage returns alone."""
        with self.open_bytes() as file:
            if self.encoding in _UTF8 and not self.has_returns:
                file.read(self.header_bytes)
                yield file
            else:
                text = io.TextIOWrapper(file, self.encoding, newline=None if self.has_returns else "")
                for _ in range(self.header_lines):
                    text.readline()
                yield io.BufferedReader(_Utf8(text))
                text.detach()

    def line_of(self, row: int) -> int:
        """The line on which a data row begins, both counted from the top, lines from 1 and rows from 0."""
        with self.open_bytes() as file, _fields_of_any_length():
            text = io.TextIOWrapper(file, self.encoding, newline="")
            reader = csv.reader(text, delimiter=self.separator)
            seen, line = -1, 1  # the header is row -1
            for cells in reader:
                if not is_blank(cells):
                    if seen == row:
                        break
                    seen += 1
                line = reader.line_num + 1
            text.detach()
        return line


def look_at(path: str, table_format: TableFormat) -> TextFile:
    """Find out how a text file is read, from its beginning.

    Args:
        path: The file; `-` is standard input, which is read to its end.
        table_format: What is known.

    Returns:
        The file.

    Raises:
        DataError: The file cannot be read, is empty, or its header is not valid.
    """
    source = source_name(path)
    content = sys.stdin.buffer.read() if path == STANDARD_INPUT else None
    with io.BytesIO(content) if content is not None else open_bytes(path) as file:
        beginning, is_whole = _read_beginning(file)
    marked = next((name for mark, name in _MARKS.items() if beginning.startswith(mark)), "")
    encoding = marked or table_format.encoding or ""
    if not encoding and b"\0" in beginning:
        raise DataError(f"{source} is no text: it holds NUL bytes; export it as CSV (UTF-8)")
    text = _decoded(beginning, encoding, source)
    lines = _whole_lines(text, complete=is_whole)
    separator = table_format.separator or _separator(lines)
    rows = _rows(lines, separator)
    header, line = _read_header(lines, separator, source)
    widths = Counter(len(row) for row in rows[1:])
    if widths and widths.most_common(1)[0][0] == len(header) + 1 and len(widths) == 1 and rows[1][-1].strip():
        header = ("", *header)  # as R writes row names
    checked_header(header, source, line)
    return TextFile(
        path=path,
        source=source,
        separator=separator,
        decimal=table_format.decimal or _decimal(rows[1:], separator),
        encoding=encoding or ("utf-8" if _is_utf8(beginning) else FALLBACK),
        header=header,
        header_lines=line,
        header_bytes=len("".join(lines[:line]).encode()) + (len(codecs.BOM_UTF8) if encoding == "utf-8-sig" else 0),
        has_returns=lines[line - 1].endswith("\r"),
        content=content,
    )


def _read_beginning(file: IO[bytes]) -> tuple[bytes, bool]:
    """The beginning of a file, with a few lines below the header of a wide table; and whether it is the whole file."""
    beginning = file.read(_BEGINNING)
    while len(beginning) < _LONGEST_BEGINNING and beginning.count(b"\n") + beginning.count(b"\r") < 2 * _FEWEST_LINES:
        more = file.read(len(beginning) or 1)
        if not more:
            return beginning, True
        beginning += more
    return beginning, not file.read(1)


class _Utf8(io.RawIOBase):
    """Text as bytes in UTF-8."""

    def __init__(self, text: TextIO) -> None:
        self._text, self._rest = text, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = self._text.read(_BEGINNING).encode()
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def with_fallback(file: TextFile) -> TextFile:
    """The same file read as Windows-1252, after it turned out not to be UTF-8."""
    return replace(file, encoding=FALLBACK)


def _read_header(lines: list[str], separator: str, source: str) -> tuple[tuple[str, ...], int]:
    """The names on the first line that is not blank, without surrounding blanks, and the last line of the header."""
    reader = csv.reader(lines, delimiter=separator, strict=True)
    try:
        names = next((tuple(cell.strip() for cell in row) for row in reader if not is_blank(row)), None)
    except csv.Error as error:
        raise DataError(
            f"{source}, line {reader.line_num}: the header is not valid CSV: {csv_reason(error)}; "
            "separate names by commas and check their quotes"
        ) from None
    if names is None:
        raise DataError(f"{source} is empty; it needs a header line with the column names, and rows")
    return names, reader.line_num


def checked_header(names: tuple[str, ...], source: str, line: int | None = None) -> None:
    """Check the column names of a table: valid, and distinct.

    Args:
        names: The names; an empty one is a column without a name.
        source: Name of the file, for messages.
        line: The line of the header; None: the file has no lines.

    Raises:
        DataError: They are not.
    """
    where = source if line is None else f"{source}, line {line}"
    first_seen: dict[str, int] = {}
    for position, name in enumerate(names):
        try:
            checked_name(name or "unnamed")
        except ValueError as reason:
            raise DataError(f"{where}: the name of column {position + 1} {reason}") from None
        if first_seen.setdefault(name, position) != position:
            found = f"found {shown(name)} as columns" if name else "found none in columns"
            raise DataError(
                f"{where}: a column must have a name of its own, {found} {first_seen[name] + 1} and {position + 1}; "
                "rename one"
            )


def check_widths(file: TextFile) -> None:
    """Check that every row has as many cells as the header.

    Raises:
        DataError: A row has fewer or more, or a quote is not closed. The message names its line.
    """
    wanted = len(file.header)
    with file.open_bytes() as content, _fields_of_any_length():
        text = io.TextIOWrapper(content, file.encoding, newline="")
        reader = csv.reader(text, delimiter=file.separator, strict=True)
        line, is_header = 1, True
        try:
            for row in reader:
                if not is_blank(row):
                    if len(row) != wanted and not is_header:
                        where = f"{file.source}, line {line}"
                        raise DataError(f"{where}: a row must have {wanted} cells like the header, found {len(row)}")
                    is_header = False
                line = reader.line_num + 1
        except csv.Error as error:
            raise DataError(
                f"{file.source}, line {line}: the row is not valid CSV: {csv_reason(error)}; check its quotes"
            ) from None
        text.detach()


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    """Let `csv` read long cells, as pandas and Arrow do; its own limit is 128 KB."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def csv_reason(error: csv.Error) -> str:
    """What `csv` says, on one line: it names the separator, which may be a tab."""
    return str(error).replace("\t", "\\t")


def is_blank(row: list[str]) -> bool:
    """Whether a row is that of a blank line. A pair of quotes is a cell."""
    return not row or (len(row) == 1 and row[0].isspace())


def _decoded(beginning: bytes, encoding: str, source: str) -> str:
    """The beginning as text. Without an encoding UTF-8, or what does not fail."""
    if not encoding:
        encoding = "utf-8" if _is_utf8(beginning) else FALLBACK
    try:
        return codecs.getincrementaldecoder(encoding)("strict" if encoding != FALLBACK else "replace").decode(beginning)
    except UnicodeError as error:
        raise not_encoded(source, encoding, error) from None


def not_encoded(source: str, encoding: str, error: UnicodeError) -> DataError:
    """The error for a file that is not in its encoding."""
    reason = str(error)  # of UTF-16 and UTF-32 that their mark is missing
    if isinstance(error, UnicodeDecodeError):
        reason = f"byte 0x{error.object[error.start]:02x} has no meaning in it"
    return DataError(f"{source} is not in {encoding}: {reason}; name the encoding that it is in", parameter="encoding")


def _is_utf8(beginning: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(beginning)
    except UnicodeDecodeError:
        return False
    return True


def _whole_lines(text: str, complete: bool) -> list[str]:
    lines = io.StringIO(text, newline="").readlines()
    return lines if complete or len(lines) < 2 else lines[:-1]


def _separator(lines: list[str]) -> str:
    """The separator that gives most lines the same number of cells, above one; a comma if none does."""
    best, most = ",", 0.0
    for separator in SEPARATORS:
        widths = Counter(map(len, _rows(lines, separator)))
        if widths:
            width, count = widths.most_common(1)[0]
            score = count / sum(widths.values()) if width > 1 else 0
            if score > most + 1e-9:
                best, most = separator, score
    return best


def _rows(lines: list[str], separator: str) -> list[list[str]]:
    reader = csv.reader(lines, delimiter=separator)
    try:
        with _fields_of_any_length():
            return [row for row in itertools.islice(reader, _LINES) if not is_blank(row)]
    except csv.Error:  # read with care later
        return []


def _decimal(rows: list[list[str]], separator: str) -> str:
    if separator == ",":
        return "."
    cells = [cell.strip().lstrip("+-") for row in rows for cell in row]
    has = {mark: any(cell.count(mark) == 1 and cell.replace(mark, "").isdigit() for cell in cells) for mark in ",."}
    return "," if has[","] and not has["."] else "."
