"""Reading an annotations CSV: the file, the class and the group of each image.

A file name is a path relative to the image folder, with `/` between folders. No file outside the folder is ever opened:
absolute names, `..` and links that lead out of it are refused. Columns are found by name; other columns are not read.
"""

from __future__ import annotations

import csv
import difflib
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np

from insects.errors import DataError
from insects.splits import Labels
from insects.tables.names import checked_name, ordered_classes, source_name
from insects.tables.text_files import TableFormat, TextFile, csv_reason, is_blank, look_at, with_fallback
from insects.text import listed, shown

_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:")  # the beginning of an absolute path, on Windows too
_PARENT = re.compile(r"(^|[/\\])\.\.([/\\]|$)")
_PARAMETERS = {"label": "target", "group": "group", "file name": "filename"}
"""The parameter of `read_annotations` that names the column of each role."""


@dataclass(frozen=True)
class Annotations:
    """The rows of an annotations file; N rows, C classes.

    Attributes:
        source: Name of the CSV file or of the folder, for messages.
        folder: The image folder.
        lines: Line of each row in the CSV file; empty if there is no such file.
        files: File name of each row, distinct and normalized, relative to `folder`.
        classes: C class names.
        y: `(N,)` int32, class numbers in `[0, C)`.
        groups: Group of each row, for example the specimen; all rows of a group have one class. None: no groups.
    """

    source: str
    folder: Path
    lines: tuple[int, ...]
    files: tuple[str, ...]
    classes: tuple[str, ...]
    y: Labels
    groups: tuple[str, ...] | None

    def where(self, row: int) -> str:
        """Source, line and image of a row: the beginning of a message."""
        line = f", line {self.lines[row]}" if self.lines else ""
        return f"{self.source}{line}: image {shown(self.files[row])}"

    def only(self, kept: Sequence[bool]) -> Annotations:
        """A selection of the rows, and of the classes that occur in it. `kept`: True for each row to keep."""
        present, y = np.unique(self.y[np.asarray(kept, bool)], return_inverse=True)
        return replace(
            self,
            lines=tuple(compress(self.lines, kept)),
            files=tuple(compress(self.files, kept)),
            classes=tuple(self.classes[code] for code in present),
            y=y.astype(np.int32),
            groups=None if self.groups is None else tuple(compress(self.groups, kept)),
        )


def read_annotations(
    path: str | os.PathLike[str],
    image_dir: str | os.PathLike[str],
    target: str = "species",
    group: str | None = None,
    filename: str = "filename",
    classes: Sequence[str] | None = None,
) -> Annotations:
    """Read an annotations CSV, without opening any image.

    Args:
        path: The CSV file.
        image_dir: The image folder.
        target: Name of the label column.
        group: Name of the group column; None: no groups.
        filename: Name of the file name column.
        classes: Class names of a model, in its order, that the labels must belong to; None: the labels that occur.

    Returns:
        The annotations, in the order of the file.

    Raises:
        DataError: The folder does not exist, or the file is not a valid table. The message names file, line and column.
    """
    source = source_name(path)
    if not os.path.isdir(image_dir):
        raise DataError(
            f"there is no image folder {shown(os.fspath(image_dir), limit=200)}; choose another", parameter="image_dir"
        )
    # The store keeps the path in a database and in JSON, which hold UTF-8 only.
    if any("\ud800" <= character <= "\udfff" for character in os.path.realpath(image_dir)):
        place = shown(os.path.realpath(image_dir), limit=200)
        raise DataError(
            f"the path of the image folder must be UTF-8, to be kept with the search, found {place}; rename it"
        )
    file = look_at(os.fspath(path), TableFormat())
    roles = {"label": target, "group": group, "file name": filename}
    wanted = {role: _position(source, file.header, role, name) for role, name in roles.items() if name is not None}
    try:
        rows = list(_rows(file, wanted))
    except UnicodeDecodeError:  # beyond the beginning that was looked at
        rows = list(_rows(with_fallback(file), wanted))
    if not rows:
        raise DataError(f"{source} has a header but no rows; add some")
    lines, cells = zip(*rows, strict=True)
    columns = {role: tuple(row[role] for row in cells) for role in wanted}
    found, y = _classify(source, lines, columns["label"], target, classes)
    annotations = Annotations(source, Path(image_dir), lines, columns["file name"], found, y, columns.get("group"))
    _check_distinct(annotations)
    _check_groups(annotations)
    return annotations


def _rows(file: TextFile, wanted: dict[str, int]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and checked cells, by role, of each row. `wanted`: the position of each role's column."""
    with file.open_bytes() as content:
        reader = csv.reader(io.TextIOWrapper(content, file.encoding, newline=""), delimiter=file.separator, strict=True)
        is_header = True
        while True:
            line = reader.line_num + 1  # a row with quoted line breaks spans several lines
            where = f"{file.source}, line {line}"
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DataError(f"{where}: the row is not valid CSV: {csv_reason(error)}; check its quotes") from None
            if is_blank(row):
                continue
            if not is_header:
                yield line, _cells(row, file.header, wanted, where)
            is_header = False


def _cells(row: list[str], header: Sequence[str], wanted: dict[str, int], where: str) -> dict[str, str]:
    """The checked cells of a row, by role."""
    if len(row) != len(header):
        raise DataError(f"{where}: a row must have {len(header)} cells like the header, found {len(row)}")
    cells = {}
    for role, position in wanted.items():
        try:
            cells[role] = _checked_file(row[position]) if role == "file name" else checked_name(row[position])
        except ValueError as reason:
            raise DataError(f"{where}, column {shown(header[position])}: the {role} {reason}") from None
    return cells


def _checked_file(cell: str) -> str:
    """The normalized file name of a cell; raises ValueError with the reason if it is not valid."""
    name = cell.strip()
    if not name:
        raise ValueError("must not be empty; fill it in or leave the row out")
    if "\0" in name:
        raise ValueError(f"must not hold a NUL character, found {shown(name)}; export the table as CSV (UTF-8)")
    if _ABSOLUTE.match(name):
        raise ValueError(f"must be inside the image folder, found the absolute {shown(name)}; write it without folder")
    if _PARENT.search(name):
        raise ValueError(f"must be inside the image folder, found {shown(name)} with '..'; write it without")
    return os.path.normpath(name)


def _position(source: str, header: tuple[str, ...], role: str, name: str) -> int:
    if name and name in header:
        return header.index(name)
    near = difflib.get_close_matches(name, header, n=1)
    advice = f"did you mean {shown(near[0])}?" if near else "choose one of them"
    raise DataError(
        f"{source} has no {role} column {shown(name)}, its columns are {listed(header)}; {advice}",
        parameter=_PARAMETERS[role],
    )


def _classify(
    source: str, lines: Sequence[int], labels: Sequence[str], target: str, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], Labels]:
    """Class names, and the class number of each label."""
    different = list(dict.fromkeys(labels))
    names, order = ordered_classes(different)
    name_of = {label: names[code] for label, code in zip(different, order, strict=True)}
    if classes is None:
        if len(names) > max(20, len(labels) / 2):
            raise DataError(
                f"{source}: a label column must hold few classes with many images each, column {shown(target)} has "
                f"{len(names)} different values in {len(labels)} rows; choose another label column",
                parameter="target",
            )
        classes = names
    code = {name: number for number, name in enumerate(classes)}
    # A label may be a class as it is written, or once whole numbers have one form: `02` is class `2`.
    for line, label in zip(lines, labels, strict=True):
        if label not in code and name_of[label] not in code:
            raise DataError(
                f"{source}, line {line}, column {shown(target)}: a label must be one of the classes trained on "
                f"({listed(classes)}), found {shown(label)}; correct it or leave the row out"
            )
    y = [code[label] if label in code else code[name_of[label]] for label in labels]
    return tuple(classes), np.array(y, np.int32)


def _check_distinct(annotations: Annotations) -> None:
    first_seen: dict[str, int] = {}
    for row, name in enumerate(annotations.files):
        first = first_seen.setdefault(name, row)
        if first != row:
            raise DataError(
                f"{annotations.where(row)} must occur once, but is on line {annotations.lines[first]} too; "
                "leave one out"
            )


def _check_groups(annotations: Annotations) -> None:
    """A specimen has one species: two of them mean an error in the table, or that another column holds the groups."""
    first_seen: dict[str, int] = {}
    for row, name in enumerate(annotations.groups or ()):
        first = first_seen.setdefault(name, row)
        if annotations.y[first] != annotations.y[row]:
            before, here = (shown(annotations.classes[annotations.y[other]]) for other in (first, row))
            raise DataError(
                f"{annotations.where(row)} must be of the class of its group, group {shown(name)} is {here} here and "
                f"{before} on line {annotations.lines[first]}; correct one, or choose another group column",
                parameter="group",
            )
