"""Tables of numbers, read from files."""

from __future__ import annotations

from pathlib import Path

from insects.splits import Table
from insects.tables.columns import Columns
from insects.tables.labelled import ColumnChoice, read_labelled
from insects.tables.text_files import TableFormat


def read_numbers(path: Path, choice: ColumnChoice | None = None) -> Table:
    """Read a table whose inputs are all numbers, in the order of the file."""
    labelled = read_labelled(path, choice or ColumnChoice(), TableFormat())
    columns = Columns.of_numbers([str(name) for name in labelled.frame.columns])
    x_NK = columns.code(labelled.frame, labelled.source, labelled.decimal)
    return Table(columns.names, labelled.classes, x_NK, labelled.y, labelled.source)
