"""Reading a labelled table for training or evaluation, and the rules that a CSV file must follow.

A file is UTF-8 text with a header line and comma-separated cells. One column holds the label: any text (`NA` is a valid
name) or whole numbers (`2`, `02` and `2.0` are the same class if all labels are whole numbers). The features are the
chosen columns, or all others. They are finite decimal numbers, not `1_000`, `0x10`, `1,5` or `True`.
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
    """Read a table to train on.

    Args:
        path: The CSV file.
        target: Name of the label column.
        features: Names of the input columns, in this order; None: all other columns, in the order of the file.

    Returns:
        The table.

    Raises:
        DataError: The file does not follow the rules above. The message names file, line and column.
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
            f"{len(codes)} different values in {len(y)} rows; choose another label column",
            parameter="target",
        )
    classes, order = ordered_classes(list(codes))
    return Table(tuple(names[position] for position in columns.features), classes, x, order[y], source)


def read_rows_like(
    path: str | os.PathLike[str], features: Sequence[str], classes: Sequence[str], target: str = "labels"
) -> Table:
    """Read rows to evaluate a model on.

    The columns of the file may be in any order. Columns that the model does not use are not read.

    Args:
        path: The CSV file.
        features: The model's input columns, in its order.
        classes: The model's class names, in its order.
        target: Name of the label column.

    Returns:
        The table, with the features and classes of the model.

    Raises:
        DataError: As for `read_table`; also if a feature is missing, or the model was not trained on a label.
    """
    source = source_name(path)
    known = {name: code for code, name in enumerate(classes)}
    are_numbers = _are_whole_numbers(classes)

    def code(label: str) -> int:
        name = checked_name(label)
        name = _canonical(name) if are_numbers and _are_whole_numbers([name]) else name
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
    """Find the label and feature columns of a file.

    Args:
        source: Name of the file, for messages.
        names: All column names of the file.
        target: Name of the label column.
        features: Names of the input columns, in this order; None: all other columns.

    Returns:
        The columns to read.

    Raises:
        DataError: A column does not exist, is chosen twice, or is both label and input.
    """
    if target not in names:
        raise _no_such_column(source, names, "label", target)
    if features is None:
        features = [name for name in names if name != target]
        if "" in features:
            raise DataError(
                f"{source}: an input column must have a name, column {names.index('') + 1} has none; "
                "name it in the header, or choose the input columns",
                parameter="features",
            )
    position = {name: index for index, name in enumerate(names)}
    for name in features:
        if name not in position or not name:
            raise _no_such_column(source, names, "input", name)
    if target in features:
        raise DataError(
            f"{source}: the label column {shown(target)} must not be an input too; take it out of the input columns",
            parameter="features",
        )
    if len(set(features)) < len(features):
        raise DataError(f"{source}: an input column must be named once, found {listed(features)}", parameter="features")
    if not features:
        raise DataError(f"{source}: there must be an input column beside the labels, found {shown(target)} only")
    return Columns(source, names, position[target], tuple(position[name] for name in features))


def _no_such_column(source: str, names: tuple[str, ...], role: str, name: str) -> DataError:
    if len(names) == 1 and any(separator in names[0] for separator in ";\t|"):
        return DataError(f"{source}: cells must be separated by commas, the header is {shown(names[0])}; export it so")
    near = difflib.get_close_matches(name, names, n=1)
    advice = f"did you mean {shown(near[0])}?" if near else "choose one of them"
    return DataError(
        f"{source} has no {role} column {shown(name)}, its columns are {listed(names)}; {advice}",
        parameter={"label": "target", "input": "features"}[role],
    )


def ordered_classes(labels: list[str]) -> tuple[tuple[str, ...], np.ndarray[tuple[int], np.dtype[np.int32]]]:
    """Sort class names: as numbers if all of them are whole numbers, else as text.

    Args:
        labels: Distinct labels in the order of their appearance.

    Returns:
        The class names, and for each label the number of its class.

    Examples:
        >>> ordered_classes(["10", "9", "09"])
        (('9', '10'), array([1, 0, 0], dtype=int32))
    """
    are_numbers = _are_whole_numbers(labels)
    names = [_canonical(label) for label in labels] if are_numbers else labels
    classes = sorted(set(names), key=int if are_numbers else None)
    number = {name: code for code, name in enumerate(classes)}
    return tuple(classes), np.array([number[name] for name in names], dtype=np.int32)


def _are_whole_numbers(labels: Sequence[str]) -> bool:
    return all(_WHOLE_NUMBER.fullmatch(label) for label in labels)


def _canonical(label: str) -> str:
    """`+07.0` -> `7`."""
    return str(int(label.partition(".")[0]))


def source_name(path: str | os.PathLike[str]) -> str:
    """Name of a file in messages, with control characters escaped."""
    return shown(os.fspath(path), limit=200)[1:-1]
