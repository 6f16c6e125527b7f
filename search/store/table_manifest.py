"""What a study keeps of its table beside the rows: the label column, the kinds of the columns, what was left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from insects.tables.columns import Columns
from search.store.schema import Schema

TABLE: Schema = {"target": str, "columns": [dict], "dropped": [[str, str]], "notes": [str]}
"""The schema of its file."""


@dataclass(frozen=True)
class TableManifest:
    """The table of a study, ready for JSON.

    Attributes:
        target: The label column.
        columns: The columns that the model uses; see `insects.tables.columns.Columns.from_dict`.
        dropped: Name and reason of each column that it does not use.
        notes: Remarks about the table, for the user.
    """

    target: str
    columns: list[dict[str, Any]]
    dropped: list[list[str]]
    notes: list[str]

    @property
    def model_columns(self) -> Columns:
        """The columns that the model uses."""
        return Columns.from_dict(self.columns)
