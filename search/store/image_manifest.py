"""What a study keeps of its images: which files they are and how they became features. They stay where they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ImageRecord:
    """Images of a study, ready for JSON.

    size, backbone, weights: the recipe of the features. weights_digest: what identifies the weights themselves.
    counts: images of each class. samples: `(file, class number)`, some of each class to look at. valid: files of the
    validation rows, as many of the first as the study keeps. test: `(file, SHA-256)` of the held-out rows.
    description: of all images, `text` and `content` for `search.reports.descriptions.write_texts`. test_groups: what each
    held-out row shows, if the user said so.
    """

    size: int
    backbone: str | None
    weights: str | None
    weights_digest: str | None
    folder: str
    counts: list[int]
    samples: list[tuple[str, int]]
    valid: list[str]
    test: list[tuple[str, str]]
    description: dict[str, Any]
    test_groups: list[str] | None = None

    @property
    def identity(self) -> dict[str, Any]:
        """What a result depends on beside the features themselves: the registered model holds the backbone."""
        return {"size": self.size, "backbone": self.backbone, "weights": self.weights_digest}

    @property
    def path(self) -> Path:
        """The image folder."""
        return Path(self.folder)
