"""A table for description: all rows, also those without a label, and what a search would refuse or leave out.

Shapes: N rows, F number columns, C classes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insects.errors import DataError
from insects.splits import Labels, Table, check_class_sizes
from insects.tables import cells
from insects.tables.columns import Column, Columns, find_columns, find_identifiers
from insects.tables.frames import Frame, read_frame
from insects.tables.labelled import ColumnChoice, check_are_classes, input_names, texts_of
from insects.tables.names import ordered_classes
from insects.tables.text_files import TableFormat
from insects.text import counted, shown

UNLABELLED = -1
_PARTS = 3  # training, validation and test rows
_REFUSED = "a search would refuse this table"


@dataclass(frozen=True)
class Category:
    """A category column.

    Attributes:
        name: Its name.
        levels: L names of its levels.
        code: `(N,)`, level of each row in `[0, L)`; -1 where the cell is missing.
    """

    name: str
    levels: tuple[str, ...]
    code: NDArray[np.intp]


@dataclass(frozen=True)
class RawTable:
    """The rows of a table, whatever their cells hold.

    Attributes:
        features: F names of number columns; a date is a number of days since the earliest.
        target: Name of the label column.
        classes: C class names, sorted as in a `Table`.
        x: `(N, F)` float64; NaN where a cell holds no finite number.
        y: `(N,)` int32, class numbers in `[0, C)` or `UNLABELLED`.
        missing: `(F,)`, cells that are empty or hold `NA`, `nan` and the like.
        other: `(F,)`, cells that hold text or infinity.
        source: Name of the file, for messages.
        categories: The category columns.
        dates: Name and earliest date of each date column.
        dropped: Name and reason of each column that a search does not use.
        notes: Remarks for the user.
    """

    features: tuple[str, ...]
    target: str
    classes: tuple[str, ...]
    x: NDArray[np.float64]
    y: Labels
    missing: NDArray[np.int64]
    other: NDArray[np.int64]
    source: str
    categories: tuple[Category, ...] = ()
    dates: tuple[tuple[str, str], ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def from_table(
        cls,
        table: Table,
        columns: Columns,
        target: str = "labels",
        dropped: Sequence[Sequence[str]] = (),
        notes: Sequence[str] = (),
    ) -> RawTable:
        """The raw table of coded rows.

        Args:
            table: The coded rows.
            columns: The columns that were coded.
            target: Name of the label column.
            dropped: Name and reason of each column that is not among them.
            notes: Remarks for the user.
        """
        numbers = [place for place, column in enumerate(columns.coded) if column.levels is None]
        x_NF = table.x[:, numbers].astype(np.float64)
        categories = []
        for place, column in enumerate(columns.coded):
            if column.levels is not None:
                code_N = np.where(np.isnan(table.x[:, place]), -1, table.x[:, place]).astype(np.intp)
                has_others = bool((code_N >= len(column.levels)).any())
                levels = (*column.levels, "(other)") if has_others else column.levels
                categories.append(Category(column.name, levels, code_N))
        return cls(
            features=tuple(columns.coded[place].name for place in numbers),
            target=target,
            classes=table.classes,
            x=x_NF,
            y=table.y,
            missing=np.isnan(x_NF).sum(axis=0),
            other=np.zeros(len(numbers), np.int64),
            source=table.source,
            categories=tuple(categories),
            dates=tuple((column.name, column.start) for column in columns.columns if column.kind == "date"),
            dropped=tuple((str(name), str(reason)) for name, reason in dropped),
            notes=tuple(notes),
        )


def read_raw_table(
    path: str | os.PathLike[str], choice: ColumnChoice, table_format: TableFormat | None = None
) -> RawTable:
    """Read a table to describe.

    Args:
        path: The file.
        choice: The columns.
        table_format: How a text file is read; None: by looking.

    Returns:
        The table.

    Raises:
        DataError: The file is no table, or a column does not exist.
    """
    table = read_frame(path, table_format or TableFormat(), texts_of(choice), choice.target)
    frame = table.cells[input_names(table, choice)]
    labels = cells.texts(table.cells[choice.target], cells.MISSING_LABELS)
    classes, order = ordered_classes(labels.texts)
    y_N = np.append(order, np.int32(UNLABELLED))[labels.code]
    notes = list(table.notes)
    identifiers: dict[str, str] = {}
    if choice.features is None:
        identifiers = find_identifiers(frame, (*choice.categorical, *choice.numeric), table.decimal)
    frame = frame.drop(columns=list(identifiers))
    try:
        check_are_classes(classes, y_N, table.source, choice.target)
        check_class_sizes(y_N[y_N >= 0], classes, table.source, _PARTS)
    except DataError as error:
        notes.append(f"{_REFUSED}: {error}")
    found = None
    kinds = tuple(Column(str(name), "number") for name in frame.columns)
    dropped: tuple[tuple[str, str], ...] = ()
    try:
        found = find_columns(frame, table.source, choice.categorical, choice.numeric, table.decimal)
        kinds, dropped = found.columns.columns, found.dropped
    except DataError as error:
        notes.append(f"{_REFUSED}: {error}")
    numbers = [column for column in kinds if column.kind != "category"]
    parts = [_numbers(table, column) for column in numbers]
    x_NF = np.column_stack([x for x, _, _ in parts]) if parts else np.empty((len(y_N), 0))
    for name, rows in found.others if found else ():
        first = f"the first {shown(frame[name].iloc[rows[0]])} ({table.where(rows[0])})"
        notes.append(f"column {shown(name)}: {counted(len(rows), 'cell')} not a number, {first}")
    return RawTable(
        features=tuple(column.name for column in numbers),
        target=choice.target,
        classes=classes,
        x=x_NF,
        y=y_N,
        missing=np.array([missing for _, missing, _ in parts], np.int64),
        other=np.array([other for _, _, other in parts], np.int64),
        source=table.source,
        categories=tuple(_category(table, column) for column in kinds if column.kind == "category"),
        dates=tuple((column.name, column.start) for column in kinds if column.kind == "date"),
        dropped=(*identifiers.items(), *dropped),
        notes=tuple(notes),
    )


def _numbers(table: Frame, column: Column) -> tuple[NDArray[np.float64], int, int]:
    """The numbers of a column, its missing cells, and its cells that are neither. A date is days since the earliest."""
    values = table.cells[column.name]
    if column.kind == "date":
        time_N = cells.times(values, column.date_format)
        number_N = (time_N - np.datetime64(column.start, "s")) / np.timedelta64(1, "D")
    else:
        number_N = cells.numbers(values, table.decimal)
    unknown_N = np.isnan(number_N)
    missing = int(np.count_nonzero(cells.texts(values).code < 0)) if unknown_N.any() else 0
    return number_N, missing, int(unknown_N.sum()) - missing


def _category(table: Frame, column: Column) -> Category:
    found = cells.texts(table.cells[column.name])
    order = np.argsort(-found.counts, kind="stable")
    place = np.append(np.argsort(order), -1)
    return Category(column.name, tuple(found.texts[level] for level in order), place[found.code])
