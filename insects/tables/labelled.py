"""A CSV file -> a checked `Table`. What a file may hold is decided here, how it is read in `csv_reader`.

A file is UTF-8 text with a header line and comma-separated cells. One column holds the label: any text (`NA` is a name
like another) or whole numbers (`2`, `02` and `2.0` are one class if all labels are whole numbers). The features are
the named columns or all others, and finite decimal numbers: `1_000`, `0x10`, `1,5` or `True` are none.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence

import numpy as np

from insects.errors import DataError
from insects.splits import Table
from insects.tables.csv_reader import Columns, checked_name, open_csv, read_header, read_rows
from insects.text import listed, shown

_WHOLE_NUMBER = re.compile(r"([+-]?\d+)(\.0*)?", re.ASCII)


def read_table(path: str | os.PathLike[str], target: str = "labels", features: Sequence[str] | None = None) -> Table:
    """Read the table of a search.

    Args: target: the label column. features: the input columns, in this order; None: every other column, in the
    file's order.
    Raises: DataError: whatever keeps the file from being such a table, with file, line and column.
    """
    source = source_name(path)
    codes: dict[str, int] = {}
    with open_csv(path) as file:
        names, line = read_header(file, source)
        columns = choose_columns(source, names, target, features)
        x, y = read_rows(file, line, columns, lambda label: codes.setdefault(checked_name(label), len(codes)))
    if len(codes) > max(20, len(y) / 2):
        raise DataError(
            f"{source}: a label column must hold few classes with many rows each, column {shown(target)} has "
            f"{len(codes)} different values in {len(y)} rows; choose the label column with --target"
        )
    classes, order = ordered_classes(list(codes))
    return Table(tuple(names[position] for position in columns.features), classes, x, order[y], source)


def read_rows_like(
    path: str | os.PathLike[str], features: Sequence[str], classes: Sequence[str], target: str = "labels"
) -> Table:
    """Read rows to test a model on: features by name and in the model's order, labels among the model's classes.

    The file's columns may stand in any order, and others beside them are not read.
    Raises: DataError: as `read_table`; also a feature that is missing, or a label the model was not trained on.
    """
    source = source_name(path)
    known = {name: code for code, name in enumerate(classes)}
    whole = _are_whole(classes)

    def code(label: str) -> int:
        name = checked_name(label)
        name = _canonical(name) if whole and _are_whole([name]) else name
        if name not in known:
            raise ValueError(
                f"a label must be one of the classes trained on ({listed(classes)}), found {shown(name)}; "
                "correct it or leave the row out"
            )
        return known[name]

    with open_csv(path) as file:
        names, line = read_header(file, source)
        columns = choose_columns(source, names, target, features)
        x, y = read_rows(file, line, columns, code)
    return Table(tuple(features), tuple(classes), x, y, source)


def choose_columns(source: str, names: tuple[str, ...], target: str, features: Sequence[str] | None) -> Columns:
    """Which columns of a file are read: the label, and the features named or all others.

    Raises: DataError: there is no such column, or it is named twice.
    """
    if target not in names:
        raise _no_such_column(source, names, "label", target)
    if features is None:
        features = [name for name in names if name != target]
        if "" in features:
            raise DataError(
                f"{source}: an input column must have a name, column {names.index('') + 1} has none; "
                "name it in the header, or name the inputs with --features"
            )
    for name in features:
        if name not in names or not name:
            raise _no_such_column(source, names, "input", name)
    if target in features:
        raise DataError(
            f"{source}: the label column {shown(target)} must not be an input too; take it out of --features"
        )
    if len(set(features)) < len(features):
        raise DataError(f"{source}: an input column must be named once, found {listed(features)}")
    if not features:
        raise DataError(f"{source}: there must be an input column beside the labels, found {shown(target)} only")
    position = {name: index for index, name in enumerate(names)}
    return Columns(source, names, position[target], tuple(position[name] for name in features))


def _no_such_column(source: str, names: tuple[str, ...], role: str, name: str) -> DataError:
    if len(names) == 1 and any(separator in names[0] for separator in ";\t|"):
        return DataError(f"{source}: cells must be separated by commas, the header is {shown(names[0])}; export it so")
    option = {"label": "--target", "input": "--features"}[role]
    near = difflib.get_close_matches(name, names, n=1)
    advice = f"did you mean {shown(near[0])}?" if near else f"choose with {option}."
    return DataError(f"{source} has no {role} column {shown(name)}; {advice} Its columns are {listed(names)}")


def ordered_classes(labels: list[str]) -> tuple[tuple[str, ...], np.ndarray[tuple[int], np.dtype[np.int32]]]:
    """Class names in their order, and for each label in the order of appearance the number of its class."""
    whole = _are_whole(labels)
    names = [_canonical(label) for label in labels] if whole else labels
    classes = sorted(set(names), key=int if whole else None)
    number = {name: code for code, name in enumerate(classes)}
    return tuple(classes), np.array([number[name] for name in names], dtype=np.int32)


def _are_whole(labels: Sequence[str]) -> bool:
    return all(_WHOLE_NUMBER.fullmatch(label) for label in labels)


def _canonical(label: str) -> str:
    """`+07.0` -> `7`."""
    return str(int(label.partition(".")[0]))


def source_name(path: str | os.PathLike[str]) -> str:
    """What messages call a file."""
    return shown(os.fspath(path), limit=200)[1:-1]
