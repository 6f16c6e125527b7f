"""How rows of a table become those that a registered program takes: what stands beside the program in a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from insects.encoder import Encoder
from insects.tables.columns import Columns

if TYPE_CHECKING:
    from search.store.serialization import StudyData
    from search.store.table_manifest import TableManifest


@dataclass(frozen=True)
class ModelTable:
    """The table that a model was trained on, as far as predicting needs it.

    Attributes:
        target: The label column.
        columns: Make coded rows of a table's rows.
        encoder: What the program does to coded rows before its network.
        shown: Positions of the two coded columns that figures of the model show; None: there are not two numbers.
    """

    target: str
    columns: Columns
    encoder: Encoder
    shown: tuple[int, int] | None

    def as_metadata(self) -> dict[str, Any]:
        """Return what the registered model keeps, ready for JSON."""
        return {
            "target": self.target,
            "columns": self.columns.as_dict(),
            "encoder": self.encoder.as_dict(),
            "shown": None if self.shown is None else list(self.shown),
        }

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any]) -> ModelTable:
        """Read the metadata of a registered model.

        Raises:
            KeyError, TypeError, ValueError: It is not that of a model of a table.
        """
        table = metadata["table"]
        shown = None
        if table["shown"] is not None:
            first, second = table["shown"]
            shown = int(first), int(second)
        columns, encoder = Columns.from_dict(table["columns"]), Encoder.from_dict(table["encoder"])
        return cls(str(table["target"]), columns, encoder, shown)

    @classmethod
    def of_study(cls, manifest: TableManifest, data: StudyData) -> ModelTable:
        """Return that of a study's models.

        Args:
            manifest: The table of the study.
            data: What the study keeps of its data.
        """
        from insects.plots.plane import telling_columns

        sample = data.sample
        raw, y = np.concatenate([data.train_raw, data.valid_raw]), np.concatenate([sample.train_y, sample.valid_y])
        shown = telling_columns(sample.encoder, raw, y, len(sample.classes))
        return cls(manifest.target, manifest.model_columns, sample.encoder, shown)
