"""Tables written block by block: CSV, Parquet or JSON lines, by the ending of the file's name."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from insects.errors import DataError
from insects.text import shown

if TYPE_CHECKING:
    import pyarrow as pa

_TEXT, _PARQUET, _JSON_LINES = (".csv", ".txt", ".tsv"), (".parquet", ".pq"), (".jsonl", ".ndjson")


class TableWriter(Protocol):
    """Writes blocks of rows.

    Attributes:
        is_typed: Whether the format tells numbers from texts.
    """

    is_typed: bool

    def write(self, block: pa.Table) -> None:
        """Write rows; every block has the columns of the first."""


@contextmanager
def table_writer(sink: Any, name: str | None, separator: str = ",", decimal: str = ".") -> Iterator[TableWriter]:
    """Make what writes a table; the table is complete after the block.

    Args:
        sink: The open file of bytes. It stays open.
        name: Name of the file; see `check_writable`. None: CSV.
        separator: The character between the cells of a CSV file. A TSV file has tabs.
        decimal: Decimal mark of numbers in it.
    """
    path = Path("" if name is None else name.lower())
    compressed = path.suffix == ".gz"
    ending = path.with_suffix("").suffix if compressed else path.suffix
    if ending in _PARQUET:
        with _ParquetWriter(sink) as writer:
            yield writer
    elif compressed:
        with gzip.GzipFile(fileobj=sink, mode="wb") as file:
            yield _text_writer(file, ending, separator, decimal)
    else:
        yield _text_writer(sink, ending, separator, decimal)


def check_writable(path: Path) -> None:
    """Check that the ending of a file's name says a format: `.csv`, `.tsv`, `.jsonl`, also with `.gz`, or `.parquet`.

    Raises:
        DataError: It does not.
    """
    name = path.name.lower()
    if not name.removesuffix(".gz").endswith((*_TEXT, *_JSON_LINES)) and not name.endswith(_PARQUET):
        raise DataError(
            f"the name of the file to write must end in .csv, .tsv, .jsonl or .parquet, found {shown(path.name)}; "
            "rename it",
            parameter="out",
        )


def _text_writer(sink: Any, ending: str, separator: str, decimal: str) -> TableWriter:
    if ending in _JSON_LINES:
        return _JsonLinesWriter(sink)
    return _CsvWriter(sink, "\t" if ending == ".tsv" else separator, decimal)


class _CsvWriter:
    is_typed = False

    def __init__(self, sink: Any, separator: str, decimal: str) -> None:
        self._sink, self._separator, self._decimal, self._has_header = sink, separator, decimal, False

    def write(self, block: pa.Table) -> None:
        import pyarrow as pa

        if not self._has_header:
            header = io.StringIO()
            csv.writer(header, delimiter=self._separator, lineterminator="\n").writerow(block.column_names)
            self._sink.write(header.getvalue().encode())
            self._has_header = True
        columns = [self._writable(column) for column in block.columns]
        self._sink.write(self._rows(pa.table(columns, [str(place) for place in range(len(columns))])))

    def _writable(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """The column as Arrow can write it, with the decimal mark of the file."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_nested(column.type):
            texts = [None if value is None else str(value) for value in column.to_pylist()]
            return pa.chunked_array([pa.array(texts, pa.string())])
        if pa.types.is_string_view(column.type):  # as other libraries write text to Parquet
            return column.cast(pa.string())
        if pa.types.is_floating(column.type) and self._decimal != ".":
            return pc.replace_substring(pc.cast(column, pa.string()), ".", self._decimal)
        return column

    def _rows(self, table: pa.Table) -> bytes:
        import pyarrow as pa
        import pyarrow.csv as pc

        def rendered(quoting: str) -> bytes:
            options = pc.WriteOptions(include_header=False, delimiter=self._separator, quoting_style=quoting)
            buffer = io.BytesIO()
            pc.write_csv(table, buffer, options)
            return buffer.getvalue()

        try:
            return rendered("none")
        except pa.ArrowInvalid:  # a cell has a separator or a quote in it
            return rendered("needed")  # quotes every text of the block


class _ParquetWriter:
    is_typed = True

    def __init__(self, sink: Any) -> None:
        self._sink = sink
        self._writer: Any = None

    def __enter__(self) -> _ParquetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, block: pa.Table) -> None:
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self._sink, block.schema)
        self._writer.write_table(block)


class _JsonLinesWriter:
    is_typed = True

    def __init__(self, sink: Any) -> None:
        self._sink = sink

    def write(self, block: pa.Table) -> None:
        text = block.to_pandas().to_json(orient="records", lines=True, force_ascii=False, date_format="iso")
        self._sink.write(text.encode())
