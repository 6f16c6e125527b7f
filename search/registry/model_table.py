"""How rows of a table become those that a registered program takes: what stands beside the program in a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from insects.encoder import Encoder
from insects.tables.columns import Columns

if TYPE_CHECKING:
    from search.store.table_manifest import TableManifest


@dataclass(frozen=True)
class ModelTable:
    """The table that a model was trained on, as far as predicting needs it.

    Attributes:
        target: The label column.
        columns: Make coded rows of a table's rows.
        encoder: What the program does to coded rows before its network.
    """

    target: str
    columns: Columns
    encoder: Encoder

    def as_metadata(self) -> dict[str, Any]:
        """Return what the registered model keeps, ready for JSON."""
        return {"target": self.target, "columns": self.columns.as_dict(), "encoder": self.encoder.as_dict()}

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any]) -> ModelTable:
        """Read the metadata of a registered model.

        Raises:
            KeyError, TypeError, ValueError: It is not that of a model of a table.
        """
        table = metadata["table"]
        return cls(str(table["target"]), Columns.from_dict(table["columns"]), Encoder.from_dict(table["encoder"]))

    @classmethod
    def of_study(cls, manifest: TableManifest, encoder: Encoder) -> ModelTable:
        """Return that of a study's models.

        Args:
            manifest: The table of the study.
            encoder: The encoder of its training rows.
        """
        return cls(manifest.target, manifest.model_columns, encoder)
