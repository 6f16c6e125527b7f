"""An annotations CSV -> `Annotations`: which image file shows which class and belongs to which group.

A file name is a path inside the image folder, with `/` between folders. Nothing outside of it is ever opened: absolute
names, `..` and links that lead out are refused. Columns are chosen by name and others beside them are not read.
"""

from __future__ import annotations

import csv
import difflib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import TextIO

import numpy as np

from insects.errors import DataError
from insects.splits import Labels
from insects.tables.csv_reader import checked_name, open_csv, read_header
from insects.tables.labelled import ordered_classes
from insects.text import listed, shown

_OUTSIDE = re.compile(r"[/\\]|[A-Za-z]:")  # how an absolute name begins, on any system
_UP = re.compile(r"(^|[/\\])\.\.([/\\]|$)")
_OPTIONS = {"label": "--target", "group": "--group", "file name": "--filename"}


@dataclass(frozen=True)
class Annotations:
    """The rows of an annotations file; N rows, C classes.

    source: the CSV's name. folder: what `files` are in. lines: the CSV line of each row. files: distinct names,
    normalized. y: `(N,)` int32 in `[0, C)`. groups: what each image belongs to, each group of one class; None where no
    column was named.
    """

    source: str
    folder: Path
    lines: tuple[int, ...]
    files: tuple[str, ...]
    classes: tuple[str, ...]
    y: Labels
    groups: tuple[str, ...] | None

    def where(self, row: int) -> str:
        """File, line and image of a row, as messages begin."""
        return f"{self.source}, line {self.lines[row]}: image {shown(self.files[row])}"

    def only(self, kept: Sequence[bool]) -> Annotations:
        """The rows that are kept, and the classes that occur among them."""
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
    folder: str | os.PathLike[str],
    target: str = "species",
    group: str | None = None,
    filename: str = "filename",
    classes: Sequence[str] | None = None,
) -> Annotations:
    """Read an annotations CSV; the image files themselves are not looked at yet.

    Args: folder: where the images are. target, group, filename: columns by name; group None: images stand alone.
    classes: those of a model, in its order, to which the labels must belong; None: those that occur.
    Raises: DataError: whatever keeps the file from being such a table, with file, line and column.
    """
    source = shown(os.fspath(path), limit=200)[1:-1]
    if not os.path.isdir(folder):
        raise DataError(f"there is no image folder {shown(os.fspath(folder), limit=200)}; name it with --image-dir")
    if any("\ud800" <= character <= "\udfff" for character in os.path.realpath(folder)):
        place = shown(os.path.realpath(folder), limit=200)
        raise DataError(
            f"the path of the image folder must be UTF-8, to be kept with the search, found {place}; rename it"
        )
    with open_csv(path) as file:
        header, line = read_header(file, source)
        roles = {"label": target, "group": group, "file name": filename}
        wanted = {role: _position(source, header, role, name) for role, name in roles.items() if name is not None}
        rows = list(_rows(file, source, header, line, wanted))
    if not rows:
        raise DataError(f"{source} has a header but no rows; add some")
    lines, cells = zip(*rows, strict=True)
    columns = {role: tuple(row[role] for row in cells) for role in wanted}
    found, y = _classify(source, lines, columns["label"], target, classes)
    annotations = Annotations(source, Path(folder), lines, columns["file name"], found, y, columns.get("group"))
    _check_distinct(annotations)
    _check_groups(annotations)
    return annotations


def _rows(
    file: TextIO, source: str, header: tuple[str, ...], line: int, wanted: dict[str, int]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and checked cells of each row, by role."""
    reader = csv.reader(file, strict=True)
    while True:
        first = line + reader.line_num
        where = f"{source}, line {first}"
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{where}: the row is not valid CSV: {error}; check its quotes") from None
        if len(row) <= 1 and not "".join(row).strip():
            continue
        if len(row) != len(header):
            raise DataError(f"{where}: a row must have {len(header)} cells like the header, found {len(row)}")
        cells = {}
        for role, position in wanted.items():
            try:
                cells[role] = _checked_file(row[position]) if role == "file name" else checked_name(row[position])
            except ValueError as reason:
                raise DataError(f"{where}, column {shown(header[position])}: the {role} {reason}") from None
        yield first, cells


def _checked_file(cell: str) -> str:
    """A file name without surrounding blanks and needless `.` and `//`; raises ValueError with the reason."""
    name = cell.strip()
    if not name:
        raise ValueError("must not be empty; fill it in or leave the row out")
    if "\0" in name:
        raise ValueError(f"must not hold a NUL character, found {shown(name)}; export the table as CSV (UTF-8)")
    if any("\ud800" <= character <= "\udfff" for character in name):
        raise ValueError("must be UTF-8, found other bytes; export the table as CSV (UTF-8)")
    if _OUTSIDE.match(name):
        raise ValueError(f"must be inside the image folder, found the absolute {shown(name)}; write it without folder")
    if _UP.search(name):
        raise ValueError(f"must be inside the image folder, found {shown(name)} with '..'; write it without")
    return os.path.normpath(name)


def _position(source: str, header: tuple[str, ...], role: str, name: str) -> int:
    if name and name in header:
        return header.index(name)
    near = difflib.get_close_matches(name, header, n=1)
    advice = f"did you mean {shown(near[0])}?" if near else f"choose with {_OPTIONS[role]}."
    raise DataError(f"{source} has no {role} column {shown(name)}; {advice} Its columns are {listed(header)}")


def _classify(
    source: str, lines: Sequence[int], labels: Sequence[str], target: str, classes: Sequence[str] | None
) -> tuple[tuple[str, ...], Labels]:
    """Class names and the class number of each label."""
    different = list(dict.fromkeys(labels))
    names, order = ordered_classes(different)
    name_of = {label: names[code] for label, code in zip(different, order, strict=True)}
    if classes is None:
        if len(names) > max(20, len(labels) / 2):
            raise DataError(
                f"{source}: a label column must hold few classes with many images each, column {shown(target)} has "
                f"{len(names)} different values in {len(labels)} rows; choose the label column with --target"
            )
        classes = names
    code = {name: number for number, name in enumerate(classes)}
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
    """A specimen is of one species: two of them are a slip in the table, or not the column that was meant."""
    first_seen: dict[str, int] = {}
    for row, name in enumerate(annotations.groups or ()):
        first = first_seen.setdefault(name, row)
        if annotations.y[first] != annotations.y[row]:
            before, here = (shown(annotations.classes[annotations.y[other]]) for other in (first, row))
            raise DataError(
                f"{annotations.where(row)} must be of the class of its group, group {shown(name)} is {here} here and "
                f"{before} on line {annotations.lines[first]}; correct one, or choose another --group"
            )
