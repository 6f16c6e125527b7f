"""Tables of every format as pandas data frames: whole, to learn from, or in blocks of text, to predict for.

Columns come out as numbers, booleans, times or texts; categories and nullable types become these.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects.errors import DataError
from insects.tables.cells import MISSING, MISSING_LABELS
from insects.tables.compressed import open_bytes
from insects.tables.names import source_name
from insects.tables.text_files import (
    FALLBACK,
    TableFormat,
    TextFile,
    check_widths,
    checked_header,
    look_at,
    not_encoded,
    with_fallback,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_PARQUET, _FEATHER = (".parquet", ".pq"), (".feather", ".arrow")
_JSON, _JSON_LINES, _EXCEL = (".json",), (".jsonl", ".ndjson"), (".xlsx", ".xlsm")
_BLOCK_ROWS = 50_000
_BLOCK_BYTES = 1 << 23
_FALLBACK_NOTE = "read as Windows-1252, since it is not UTF-8"


@dataclass(frozen=True, eq=False)
class FrameSource:
    """A data frame of the caller's, in the place of a file.

    Attributes:
        frame: The rows.
    """

    frame: pd.DataFrame

    @classmethod
    def of(cls, frame: Any) -> FrameSource:
        """Check that something is a data frame.

        Raises:
            DataError: It is not.
        """
        import pandas as pd

        if not isinstance(frame, pd.DataFrame):
            raise DataError(f"rows must come in a pandas DataFrame with named columns, found {type(frame).__name__}")
        return cls(frame)

    def __str__(self) -> str:
        return "the data frame"


TableSource = Path | FrameSource
"""Where a table comes from."""


@dataclass(frozen=True)
class Frame:
    """A table as it was read.

    Attributes:
        cells: The rows. Column names are distinct and without surrounding blanks; one may be empty.
        source: Name of the file, for messages.
        decimal: The decimal mark in texts.
        notes: Remarks for the user.
        text: The text file, if it is one.
    """

    cells: pd.DataFrame
    source: str
    decimal: str = "."
    notes: tuple[str, ...] = ()
    text: TextFile | None = None

    def where(self, row: int) -> str:
        """File and line, or row, of a row that is counted from 0: the beginning of a message."""
        return where_in(self.source, self.text, row)


def where_in(source: str, text: TextFile | None, row: int) -> str:
    """File and line, or row, of a row that is counted from 0: the beginning of a message.

    Args:
        source: Name of the file.
        text: The text file, if it is one.
        row: The row.
    """
    return f"{source}, row {row + 1}" if text is None else f"{source}, line {text.line_of(row)}"


def read_frame(
    path: str | os.PathLike[str] | FrameSource,
    table_format: TableFormat,
    text: Collection[str] = (),
    labels: str | None = None,
) -> Frame:
    """Read a table.

    Args:
        path: The file; its ending names the format, any other is text; `-` is text from standard input. Or a data
            frame.
        table_format: How a text file is read.
        text: Columns that are read as text, whatever they hold: 007 stays 007.
        labels: The label column, where `None` is a text like any other.

    Returns:
        The table, with at least one row.

    Raises:
        DataError: The file cannot be read, or is no table.
    """
    if isinstance(path, FrameSource):
        frame = Frame(plain_frame(path.frame, str(path)), str(path))
    else:
        frame = _read_file(os.fspath(path), table_format, text, labels)
    if not len(frame.cells):
        raise DataError(f"{frame.source} has a header but no rows; add some")
    return frame


def _read_file(path: str, table_format: TableFormat, text: Collection[str], labels: str | None) -> Frame:
    source, ending = source_name(path), os.path.splitext(path)[1].lower()
    if ending in (*_PARQUET, *_FEATHER, *_JSON, *_JSON_LINES, *_EXCEL):
        return Frame(_typed(path, ending, source), source)
    return _read_text(look_at(path, table_format), text, labels, may_fall_back=not table_format.encoding)


class FrameBlocks:
    """A table in blocks of rows, each as a data frame and as an Arrow table with the cells as they are in the file.

    Every cell of a text file is text; an empty cell is empty text.

    Args:
        path: The file; see `read_frame`.
        table_format: How a text file is read.

    Attributes:
        source: Name of the file, for messages.
        decimal: The decimal mark in texts.
        names: The column names.
        text: The text file, if it is one.

    Raises:
        DataError: The file cannot be read, or is no table.
    """

    def __init__(self, path: str | os.PathLike[str], table_format: TableFormat) -> None:
        self._path = os.fspath(path)
        self.source, self._ending = source_name(self._path), os.path.splitext(self._path)[1].lower()
        self.decimal, self._whole = ".", None
        self.text: TextFile | None = None
        if self._ending in _PARQUET:
            with _file_errors(self.source), open_bytes(self._path) as file:
                import pyarrow.parquet as pq

                self.names: tuple[str, ...] = tuple(name.strip() for name in pq.ParquetFile(file).schema_arrow.names)
        elif self._ending in (*_FEATHER, *_JSON, *_JSON_LINES, *_EXCEL):
            self._whole = _typed(self._path, self._ending, self.source)
            self.names = tuple(self._whole.columns)
        else:
            self.text = look_at(self._path, table_format)
            self.names, self.decimal = self.text.header, self.text.decimal

    def where(self, row: int) -> str:
        """File and line, or row, of a row that is counted from 0: the beginning of a message."""
        return where_in(self.source, self.text, row)

    def __iter__(self) -> Iterator[tuple[pd.DataFrame, pa.Table]]:
        """The blocks.

        Raises:
            DataError: A row has another number of cells than the header.
        """
        if self.text is not None:
            yield from self._text_blocks(self.text)
        elif self._whole is not None:
            table = _arrow_table(self._whole)
            for start in range(0, len(self._whole), _BLOCK_ROWS):
                yield self._whole[start : start + _BLOCK_ROWS], table.slice(start, _BLOCK_ROWS)
        else:
            yield from self._parquet_blocks()

    def _parquet_blocks(self) -> Iterator[tuple[pd.DataFrame, pa.Table]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with open_bytes(self._path) as file:
            with _file_errors(self.source):
                batches = pq.ParquetFile(file).iter_batches(_BLOCK_ROWS)
            while True:
                with _file_errors(self.source):
                    batch = next(batches, None)
                    if batch is None:
                        return
                    block = plain_frame(batch.to_pandas(), self.source), pa.table(batch.columns, list(self.names))
                yield block

    def _text_blocks(self, text: TextFile) -> Iterator[tuple[pd.DataFrame, pa.Table]]:
        import pyarrow as pa
        import pyarrow.csv as pc

        options = {
            "read_options": pc.ReadOptions(
                column_names=[str(place) for place in range(len(text.header))],
                block_size=_BLOCK_BYTES,
            ),
            "parse_options": pc.ParseOptions(
                delimiter=text.separator, newlines_in_values=True, invalid_row_handler=_skip_blank
            ),
            "convert_options": pc.ConvertOptions(
                column_types={str(place): pa.string() for place in range(len(text.header))}, strings_can_be_null=False
            ),
        }
        try:
            with text.open_rows() as rows:
                for batch in pc.open_csv(rows, **options):
                    table = pa.table(batch.columns, list(text.header))
                    yield table.to_pandas(), table
        except UnicodeDecodeError as error:
            raise not_encoded(self.source, text.encoding, error) from None
        except pa.ArrowInvalid as error:
            if "Empty CSV" in str(error):
                return
            try:
                check_widths(text)
            except UnicodeDecodeError as not_text:
                raise not_encoded(self.source, text.encoding, not_text) from None
            raise DataError(f"{self.source} is not valid CSV: {str(error).splitlines()[0]}; export it again") from None


def _skip_blank(row: pa.csv.InvalidRow) -> str:
    """Whether Arrow skips a row of another length than the header: a line of blanks, as in `read_frame`."""
    return "error" if row.text.strip() else "skip"


def _read_text(file: TextFile, text: Collection[str], labels: str | None, may_fall_back: bool) -> Frame:
    notes = [_FALLBACK_NOTE] if file.encoding == FALLBACK and may_fall_back else []
    try:
        cells = _parse(file, text, labels)
    except UnicodeDecodeError as error:
        if not may_fall_back or file.encoding not in ("utf-8", "utf-8-sig"):
            raise not_encoded(file.source, file.encoding, error) from None
        file = with_fallback(file)
        notes = [_FALLBACK_NOTE]
        cells = _parse(file, text, labels)
    if len(cells) and len(file.header) > 1 and bool(cells.iloc[:, -1].isna().any()):
        check_widths(file)  # pandas fills short rows up
    return Frame(cells, file.source, file.decimal, tuple(notes), file)


def _parse(file: TextFile, text: Collection[str], labels: str | None) -> pd.DataFrame:
    import pandas as pd

    texts = {place for place, name in enumerate(file.header) if name in text}
    places = range(len(file.header))
    missing = {place: sorted(MISSING) for place in places}
    if labels in file.header:
        missing[file.header.index(labels)] = sorted(MISSING_LABELS)

    def parse(columns: list[int] | None, as_text: Collection[int]) -> pd.DataFrame:
        na_values: dict[Any, list[str]] = {place: missing[place] for place in columns or places}
        # pandas reads a file that it opens itself in half the time.
        opened: Any = nullcontext(file.path) if file.is_plain else file.open_rows()
        with opened as rows, warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # such columns are read again, below
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of a first row longer than the header
            return pd.read_csv(
                rows,
                header=None,
                skiprows=1 if file.is_plain else 0,
                names=list(places),
                usecols=columns,
                sep=file.separator,
                decimal=file.decimal,
                dtype=dict.fromkeys(as_text, str),
                na_values=na_values,
                keep_default_na=False,
                index_col=False,
            )

    try:
        cells = parse(None, texts)  # with a choice of columns pandas would not complain of long rows
        # pandas decides the type of a column in parts: a column of numbers and texts may come out as a mixture.
        mixed = [place for place in places if cells[place].dtype == object and len(cells)]
        if mixed:
            cells[mixed] = parse(mixed, mixed)
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        check_widths(file)
        raise DataError(
            f"{file.source} is not valid CSV: {str(error).strip().splitlines()[0]}; check its quotes and separators"
        ) from None
    except pd.errors.EmptyDataError:
        cells = pd.DataFrame({place: pd.Series(dtype=str) for place in places})
    cells.columns = list(file.header)
    return cells


def _typed(path: str, ending: str, source: str) -> pd.DataFrame:
    """A table of a format that knows types, or that is read as a whole."""
    import pandas as pd

    with _file_errors(source), open_bytes(path) as file:
        if ending in _PARQUET:
            frame = pd.read_parquet(file)
        elif ending in _FEATHER:
            frame = pd.read_feather(file)
        elif ending in _EXCEL:
            frame = _read_excel(file)
        else:
            frame = pd.read_json(file, orient="records", lines=ending in _JSON_LINES, dtype=False)
    if not isinstance(frame, pd.DataFrame):
        raise DataError(f"{source} must hold a list of records; export it so")
    return plain_frame(frame, source)


def _read_excel(file: Any) -> pd.DataFrame:
    import pandas as pd

    try:
        frame = pd.read_excel(file, header=None, keep_default_na=False, na_values=[""])  # `None` may be a class
    except ImportError:
        raise DataError("Excel files need the package openpyxl; pip install 'insects-search[excel]'") from None
    frame = frame.dropna(how="all").reset_index(drop=True)
    names = ["" if pd.isna(name) else name for name in frame.iloc[0]] if len(frame) else []
    body = frame[1:].reset_index(drop=True).infer_objects()
    body.columns = names
    return body


def _arrow_table(frame: pd.DataFrame) -> pa.Table:
    """The frame as an Arrow table; columns of mixed types become texts."""
    import pyarrow as pa

    columns = []
    for name in frame.columns:
        try:
            columns.append(pa.array(frame[name], from_pandas=True))
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            columns.append(pa.array(frame[name].map(str, na_action="ignore"), pa.string(), from_pandas=True))
    return pa.table(columns, [str(name) for name in frame.columns])


def plain_frame(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """The frame with numpy numbers, booleans, times without a zone, and texts.

    Args:
        frame: Any rows.
        source: Their name, for messages.

    Raises:
        DataError: The names of the columns are not distinct.
    """
    import pandas as pd

    names = tuple(str(name).strip() for name in frame.columns)
    checked_header(names, source)
    columns = {}
    for place, name in enumerate(names):
        values = frame.iloc[:, place]
        dtype: Any = values.dtype
        if isinstance(dtype, pd.CategoricalDtype):
            values = values.astype(dtype.categories.dtype)
            dtype = values.dtype
        if getattr(dtype, "tz", None) is not None:
            values = values.dt.tz_convert("UTC").dt.tz_localize(None)
        elif pd.api.types.is_bool_dtype(dtype):
            values = values.astype(object) if values.isna().any() else values.astype(bool)
        elif pd.api.types.is_numeric_dtype(dtype) and pd.api.types.is_extension_array_dtype(dtype):
            values = values.astype("float64") if values.isna().any() else values.astype(dtype.numpy_dtype)
        elif dtype.kind == "O":
            values = values.infer_objects()
        columns[name] = values.reset_index(drop=True)
    return pd.DataFrame(columns)


@contextmanager
def _file_errors(source: str) -> Iterator[None]:
    """Turn what readers raise for damaged files into one line."""
    try:
        yield
    except (DataError, OSError, MemoryError):
        raise
    except Exception as error:  # pyarrow, pandas, openpyxl and zipfile raise a dozen types
        cause = " ".join(str(error).split())[:200]
        raise DataError(f"{source} cannot be read: {cause}; check it or export it again") from error
