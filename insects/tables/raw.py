"""A table as it is in the file, for description: cells that training would refuse are counted instead.

Shapes: N rows, F features, C classes.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from insects.splits import Labels, Table
from insects.tables.csv_reader import Columns, checked_name, is_blank, open_csv, read_header, read_rows
from insects.tables.labelled import choose_columns, ordered_classes, source_name

if TYPE_CHECKING:
    import pandas as pd

UNLABELLED = -1


@dataclass(frozen=True)
class RawTable:
    """The rows of a CSV file, whatever their cells hold.

    Attributes:
        features: F column names.
        target: Name of the label column.
        classes: C class names, sorted as in a `Table`.
        x: `(N, F)` float64; NaN where a cell holds no finite number.
        y: `(N,)` int32, class numbers in `[0, C)` or `UNLABELLED`.
        missing: `(F,)`, cells that are empty or hold `NA`, `nan` and the like.
        other: `(F,)`, cells that hold text or infinity.
        source: Name of the file, for messages.
    """

    features: tuple[str, ...]
    target: str
    classes: tuple[str, ...]
    x: NDArray[np.float64]
    y: Labels
    missing: NDArray[np.int64]
    other: NDArray[np.int64]
    source: str

    @classmethod
    def from_table(cls, table: Table, target: str = "labels") -> RawTable:
        """The raw table of a checked one: no cell is missing.

        Args:
            table: The checked table.
            target: Name of its label column.
        """
        none = np.zeros(len(table.features), np.int64)
        x = table.x.astype(np.float64)
        return cls(table.features, target, table.classes, x, table.y, none, none, table.source)


def read_raw_table(
    path: str | os.PathLike[str], target: str = "labels", features: Sequence[str] | None = None
) -> RawTable:
    """Read a table to describe.

    Args:
        path: The CSV file.
        target: Name of the label column.
        features: Names of the input columns, in this order; None: all other columns, in the order of the file.

    Returns:
        The table.

    Raises:
        DataError: The file is not a CSV table, for example a row is shorter than the header, or a column is missing.
    """
    source = source_name(path)
    codes: dict[str, int] = {}
    with open_csv(path) as file:
        names, line = read_header(file, source)
        columns = choose_columns(source, names, target, features)
        # First the labels alone, by the reader that training uses: same classes, same errors for a malformed file.
        _, y = read_rows(file, line, replace(columns, features=()), lambda label: _code(label, codes))
        file.seek(0)
        read_header(file, source)
        x, missing, other = _numbers(_cells(file, columns, len(y)))
    classes, order = ordered_classes(list(codes))
    return RawTable(
        features=tuple(names[position] for position in columns.features),
        target=target,
        classes=classes,
        x=x,
        y=np.append(order, np.int32(UNLABELLED))[y],
        missing=missing,
        other=other,
        source=source,
    )


def _code(label: str, codes: dict[str, int]) -> int:
    return codes.setdefault(checked_name(label), len(codes)) if label.strip() else UNLABELLED


def _cells(file: TextIO, columns: Columns, rows: int) -> pd.DataFrame:
    """The feature columns of a file of `rows` rows: numeric, or text if pandas finds other cells in a column."""
    import pandas as pd

    names = list(range(len(columns.names)))
    options: dict[str, Any] = {"header": None, "names": names, "usecols": list(columns.features), "low_memory": False}
    frame = pd.read_csv(file, **options)
    if len(frame) != rows:  # pandas counts rows that `read_rows` skips as blank, such as a line of `""`
        file.seek(0)
        read_header(file, columns.source)
        without = io.StringIO()
        csv.writer(without).writerows(row for row in csv.reader(file) if not is_blank(row))
        without.seek(0)
        frame = pd.read_csv(without, **options)
    ordered: pd.DataFrame = frame[list(columns.features)]  # `usecols` keeps the order of the file
    return ordered


def _numbers(cells: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Values `(N, F)`, NaN for a cell without a finite number; the missing and the other such cells of each column."""
    import pandas as pd

    x_NF, missing_NF = np.empty(cells.shape), np.array(cells.isna())
    numeric_F = np.array([dtype.kind in "iuf" for dtype in cells.dtypes])
    x_NF[:, numeric_F] = cells.loc[:, numeric_F].to_numpy(np.float64)
    for column in np.flatnonzero(~numeric_F).tolist():
        text = cells[cells.columns[column]].astype(str).str.strip()
        missing_NF[:, column] |= (text == "").to_numpy()
        numbers = pd.to_numeric(text.where(~missing_NF[:, column]), errors="coerce")
        x_NF[:, column] = numbers.to_numpy(np.float64)
    x_NF[~np.isfinite(x_NF)] = np.nan
    missing_F = missing_NF.sum(axis=0)
    return x_NF, missing_F, np.isnan(x_NF).sum(axis=0) - missing_F
