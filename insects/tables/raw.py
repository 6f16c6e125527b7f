"""A CSV file -> `RawTable`: the table as it is, to look at. What a search refuses in a cell is counted here.

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
    """Rows that passed no check but that they are a table.

    features: F column names. target: the label column's. classes: C class names in a search's order.
    x: `(N, F)` float64, NaN where a cell holds no finite number. y: `(N,)` int32 in `[0, C)`, or `UNLABELLED`.
    missing: `(F,)` cells that are empty or say so (`NA`, `nan`, …). other: `(F,)` cells with text or infinity.
    source: its name.
    """

    features: tuple[str, ...]
    target: str
    classes: tuple[str, ...]
    x: NDArray[np.float64]
    y: Labels
    missing: NDArray[np.int64]
    other: NDArray[np.int64]
    source: str


def raw(table: Table, target: str = "labels") -> RawTable:
    """A checked table, which lacks nothing."""
    none = np.zeros(len(table.features), np.int64)
    x = table.x.astype(np.float64)
    return RawTable(table.features, target, table.classes, x, table.y, none, none, table.source)


def read_raw_table(
    path: str | os.PathLike[str], target: str = "labels", features: Sequence[str] | None = None
) -> RawTable:
    """Read a table to look at; the arguments are those of `insects.tables.labelled.read_table`.

    Raises: DataError: the file is no table (no CSV, a row of another length than the header, …), or lacks a column.
    """
    source = source_name(path)
    codes: dict[str, int] = {}
    with open_csv(path) as file:
        names, line = read_header(file, source)
        columns = choose_columns(source, names, target, features)
        # The search's own reader: labels as it sees them, and its complaints about what is no table at all.
        _, y = read_rows(file, line, replace(columns, features=()), lambda label: _code(label, codes))
        file.seek(0)
        read_header(file, source)
        cells = [_numbers(column) for column in _columns(file, columns, len(y))]
    classes, order = ordered_classes(list(codes))
    return RawTable(
        features=tuple(names[position] for position in columns.features),
        target=target,
        classes=classes,
        x=np.column_stack([values for values, _, _ in cells]),
        y=np.append(order, np.int32(UNLABELLED))[y],
        missing=np.array([missing for _, missing, _ in cells]),
        other=np.array([other for _, _, other in cells]),
        source=source,
    )


def _code(label: str, codes: dict[str, int]) -> int:
    return codes.setdefault(checked_name(label), len(codes)) if label.strip() else UNLABELLED


def _columns(file: TextIO, columns: Columns, rows: int) -> list[pd.Series]:
    """The cells of the features in so many rows, as numbers where pandas finds nothing else in a column."""
    import pandas as pd

    names = list(range(len(columns.names)))
    layout: dict[str, Any] = {"header": None, "names": names, "usecols": list(columns.features), "low_memory": False}
    frame = pd.read_csv(file, **layout)
    if len(frame) != rows:  # pandas takes for rows what `read_rows` passes over, such as a line of `""`
        file.seek(0)
        read_header(file, columns.source)
        without = io.StringIO()
        csv.writer(without).writerows(row for row in csv.reader(file) if not is_blank(row))
        without.seek(0)
        frame = pd.read_csv(without, **layout)
    return [frame[position] for position in columns.features]


def _numbers(cells: pd.Series) -> tuple[NDArray[np.float64], int, int]:
    """Values `(N,)`, NaN where there is no finite number; how many cells are missing; how many hold something else."""
    import pandas as pd

    missing = cells.isna()
    if cells.dtype.kind not in "iuf":
        text = cells.astype(str).str.strip()
        missing |= text == ""
        cells = pd.to_numeric(text.where(~missing), errors="coerce")
    values = cells.to_numpy(np.float64, copy=True)
    values[~np.isfinite(values)] = np.nan
    count = int(missing.sum())
    return values, count, int(np.isnan(values).sum()) - count
