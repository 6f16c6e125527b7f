"""Tables to learn from and to evaluate on: choosing columns, reading labels, and saying in one line what was left out.

Shapes: N rows, K coded columns, C classes.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insects.errors import DataError
from insects.splits import Labels, Table
from insects.tables import cells
from insects.tables.columns import Columns, find_identifiers
from insects.tables.frames import Frame, TableSource, read_frame, where_in
from insects.tables.names import are_whole_numbers, canonical, checked_name, ordered_classes
from insects.tables.text_files import TableFormat, TextFile
from insects.text import counted, listed, shown

if TYPE_CHECKING:
    import pandas as pd

_FEW_CLASSES = 20
_ROWS_OF_A_CLASS = 10  # in the middle class, where there are more than a few classes of whole numbers


@dataclass(frozen=True)
class ColumnChoice:
    """Which columns of a table are used, and as what.

    Attributes:
        target: The label column.
        features: The input columns, in this order; None: all others.
        categorical: Input columns that are categories, whatever they hold.
        numeric: Input columns that are numbers, whatever they hold.
        drop: Columns that are not used.
        group: The column of what several rows belong to, a patient for example; None: every row stands for itself.
    """

    target: str = "labels"
    features: tuple[str, ...] | None = None
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    group: str | None = None


@dataclass(frozen=True)
class LabelledFrame:
    """The rows of a table that have a label.

    Attributes:
        frame: `(N, columns)`, the input columns.
        classes: C class names, sorted, as numbers if all of them are whole numbers.
        y: `(N,)` int32, class numbers in `[0, C)`.
        groups: `(N,)`, number of the group of each row; None: there are no groups.
        rows: `(N,)`, position of each row in the file.
        source: Name of the file, for messages.
        text: The text file, if it is one.
        decimal: The decimal mark in texts.
        identifiers: Name and reason of each column that names rows and is no input.
        notes: Remarks for the user.
    """

    frame: pd.DataFrame
    classes: tuple[str, ...]
    y: Labels
    groups: NDArray[np.intp] | None
    rows: NDArray[np.intp]
    source: str
    text: TextFile | None
    decimal: str
    identifiers: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]

    def where(self, row: int) -> str:
        """File and line of a row: the beginning of a message."""
        return where_in(self.source, self.text, int(self.rows[row]))


def read_labelled(
    path: TableSource,
    choice: ColumnChoice,
    table_format: TableFormat | None = None,
    fewest_rows: int | None = None,
) -> LabelledFrame:
    """Read a table to learn from.

    Args:
        path: The file, `-` is standard input; or a data frame.
        choice: The columns.
        table_format: How a text file is read; None: by looking.
        fewest_rows: Leave out classes with fewer rows than this; None: keep them.

    Returns:
        The rows with a label.

    Raises:
        DataError: The file is no table, a column does not exist, or the label column holds no classes.
    """
    table = read_frame(path, table_format or TableFormat(), texts_of(choice), choice.target)
    names = input_names(table, choice)
    labels = _read_labels(table, choice.target)
    classes, order = ordered_classes(labels.texts)
    y_N = np.append(order, np.int32(-1))[labels.code]
    check_are_classes(classes, y_N, table.source, choice.target)
    notes = list(table.notes)
    kept_N = y_N >= 0
    if not kept_N.all():
        notes.append(f"{counted(int((~kept_N).sum()), 'row')} without a label left out")
    if fewest_rows is not None:
        rare = np.flatnonzero(np.bincount(y_N[kept_N], minlength=len(classes)) < fewest_rows)
        if len(rare):
            is_rare_N = np.isin(y_N, rare)
            notes.append(
                f"{counted(len(rare), 'rare class')} left out, {counted(int(is_rare_N.sum()), 'row')}: "
                f"{listed([classes[code] for code in rare], limit=5)}"
            )
            kept_N &= ~is_rare_N
            present, y_of_kept = np.unique(y_N[kept_N], return_inverse=True)
            classes = tuple(classes[code] for code in present)
            y_N[kept_N] = y_of_kept
    frame = table.cells[names]
    frame = frame if kept_N.all() else frame[kept_N].reset_index(drop=True)
    identifiers: dict[str, str] = {}
    if choice.features is None:
        identifiers = find_identifiers(frame, (*choice.categorical, *choice.numeric), table.decimal)
    return LabelledFrame(
        frame=frame.drop(columns=list(identifiers)),
        classes=classes,
        y=np.ascontiguousarray(y_N[kept_N]),
        groups=None if choice.group is None else _groups(table.cells[choice.group])[kept_N],
        rows=np.flatnonzero(kept_N),
        source=table.source,
        text=table.text,
        decimal=table.decimal,
        identifiers=tuple(identifiers.items()),
        notes=tuple(notes),
    )


def read_rows_like(
    path: TableSource,
    columns: Columns,
    classes: tuple[str, ...],
    target: str,
    table_format: TableFormat | None = None,
) -> tuple[Table, tuple[str, ...]]:
    """Read labelled rows to evaluate a model on. The columns of the file may be in any order, among others.

    Args:
        path: The file, `-` is standard input; or a data frame.
        columns: The model's columns.
        classes: The model's class names, in its order.
        target: The label column.
        table_format: How a text file is read; None: by looking.

    Returns:
        The rows that have a label, and remarks for the user.

    Raises:
        DataError: The file is no table, a column is missing, or the model was not trained on a label.
    """
    texts = {target, *(column.name for column in columns.columns if column.kind == "category")}
    table = read_frame(path, table_format or TableFormat(), texts, target)
    if target not in table.cells.columns:
        raise no_such_column(table, "label", target)
    labels = _read_labels(table, target)
    known = {name: code for code, name in enumerate(classes)}
    are_numbers = are_whole_numbers(classes)
    names = [canonical(text) if are_numbers and are_whole_numbers([text]) else text for text in labels.texts]
    strange = [place for place, name in enumerate(names) if name not in known]
    if strange:
        row = int(np.flatnonzero(np.isin(labels.code, strange))[0])
        raise DataError(
            f"{table.where(row)}, column {shown(target)}: a label must be one of the classes trained on "
            f"({listed(classes)}), found {listed([labels.texts[place] for place in strange], limit=5)}; correct it or "
            "leave the row out"
        )
    y_N = np.array([*(known[name] for name in names), -1], np.int32)[labels.code]
    kept_N = y_N >= 0
    x_NK = columns.code(table.cells, table.source, table.decimal)
    notes = list(table.notes)
    if not kept_N.all():
        notes.append(f"{counted(int((~kept_N).sum()), 'row')} without a label left out")
        x_NK, y_N = np.ascontiguousarray(x_NK[kept_N]), y_N[kept_N]
    coded = tuple(column.name for column in columns.coded)
    return Table(coded, classes, x_NK, y_N, table.source), tuple(notes)


def no_such_column(table: Frame, role: str, name: str, parameter: str = "target") -> DataError:
    """The error for a column that a table does not have.

    Args:
        table: The table.
        role: What the column was to be: label, input, group.
        name: The name asked for.
        parameter: The parameter that asked for it.
    """
    names = [str(name) for name in table.cells.columns]
    near = difflib.get_close_matches(name, names, n=1)
    advice = f"did you mean {shown(near[0])}?" if near else "choose one of them"
    return DataError(
        f"{table.source} has no {role} column {shown(name)}, its columns are {listed(names)}; {advice}",
        parameter=parameter,
    )


def texts_of(choice: ColumnChoice) -> set[str]:
    """The columns that are read as text, whatever they hold."""
    return {choice.target, *choice.categorical, *((choice.group,) if choice.group else ())}


def input_names(table: Frame, choice: ColumnChoice) -> list[str]:
    """The input columns.

    Args:
        table: The table.
        choice: The columns asked for.

    Raises:
        DataError: A column does not exist, is asked for in two ways that exclude each other, or none is left.
    """
    names = [str(name) for name in table.cells.columns]
    wanted = {
        "target": ("label", (choice.target,)),
        "group": ("group", (choice.group,) if choice.group else ()),
        "features": ("input", choice.features or ()),
        "categorical": ("categorical", choice.categorical),
        "numeric": ("numeric", choice.numeric),
        "drop": ("dropped", choice.drop),
    }
    for parameter, (role, columns) in wanted.items():
        for name in columns:
            if name not in names or not name:
                raise no_such_column(table, role, name, parameter)
    if choice.features is not None and choice.target in choice.features:
        raise DataError(
            f"{table.source}: the label column {shown(choice.target)} must not be an input too; take it out of the "
            "input columns",
            parameter="features",
        )
    both = set(choice.categorical) & set(choice.numeric)
    if both:
        raise DataError(
            f"{table.source}: a column is numeric or categorical, found {listed(sorted(both))} as both; choose one",
            parameter="numeric",
        )
    unused = {choice.target, choice.group, *choice.drop}
    inputs = [name for name in choice.features or names if name not in unused]
    if not inputs:
        raise DataError(
            f"{table.source}: there must be an input column beside the labels, found {shown(choice.target)} only"
        )
    return inputs


def _read_labels(table: Frame, target: str) -> cells.Texts:
    """The labels of all rows; at least one row has one, and all have valid names."""
    labels = cells.texts(table.cells[target], cells.MISSING_LABELS)
    if not labels.known:
        raise DataError(
            f"{table.source}: no row has a label in column {shown(target)}; choose another", parameter="target"
        )
    for place, text in enumerate(labels.texts):
        try:
            checked_name(text)
        except ValueError as reason:
            row = int(np.flatnonzero(labels.code == place)[0])
            raise DataError(f"{table.where(row)}, column {shown(target)}: the label {reason}") from None
    return labels


def check_are_classes(classes: Sequence[str], y_N: Labels, source: str, target: str) -> None:
    """Check that a label column holds classes: a quantity has many different numbers with few rows each.

    Args:
        classes: The different labels.
        y_N: `(N,)`, place of each row's label in them; below 0: none.
        source: Name of the table, for messages.
        target: The label column.

    Raises:
        DataError: It holds a quantity, or texts that hardly repeat.
    """
    different = len(classes)
    known = int(np.count_nonzero(y_N >= 0))
    if different <= _FEW_CLASSES:
        return
    values = np.array([_float(name) for name in classes])
    if not np.isnan(values).any():
        is_whole = bool((values == np.round(values)).all())
        middle = float(np.median(np.bincount(y_N[y_N >= 0])))
        if not is_whole or middle < _ROWS_OF_A_CLASS:
            raise DataError(
                f"{source}: column {shown(target)} is a quantity, with {different:,} different numbers from "
                f"{values.min():g} to {values.max():g}; only classes can be learnt here: choose another label column, "
                "or cut the numbers into a few ranges",
                parameter="target",
            )
    if different > max(_FEW_CLASSES, known / 2):
        raise DataError(
            f"{source}: a label column must hold few classes with many rows each, column {shown(target)} has "
            f"{different:,} different values in {known:,} rows; choose another label column",
            parameter="target",
        )


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _groups(values: pd.Series) -> NDArray[np.intp]:
    """The number of each row's group. A row whose group is missing is one of its own."""
    found = cells.texts(values)
    alone_N = found.code < 0
    return np.where(alone_N, len(found.texts) + np.cumsum(alone_N), found.code)
