"""What a study keeps of its images: which files they are and how they became features. The files stay in place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.store.schema import Schema

IMAGES: Schema = {
    "target": str,
    "size": int,
    "backbone": str | None,
    "weights": str | None,
    "weights_digest": str | None,
    "folder": str,
    "counts": [int],
    "samples": [[str, int]],
    "valid": [str],
    "test": [[str, str]],
    "description": {"text": str, "content": dict},
}
"""The schema of its file."""


@dataclass(frozen=True)
class ImageManifest:
    """The images of a study, ready for JSON.

    Attributes:
        target: The label column.
        size: Side of the images in pixels.
        backbone: Name of the frozen network, or None if the features are pixels.
        weights: File of the backbone's weights, or None for torchvision's own.
        weights_digest: Identifies the weights themselves.
        folder: The image folder, absolute.
        counts: Images of each class.
        samples: `(file, class number)` of some images of each class, for figures.
        valid: Files of the validation rows that the study keeps.
        test: `(file, SHA-256)` of the test rows.
        description: `text` and `content` for `search.reports.descriptions.write_texts`.
        test_groups: The group of each test row; None if there are no groups.
    """

    target: str
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
    def fingerprint(self) -> dict[str, Any]:
        """What the registered model depends on beside the features."""
        return {"size": self.size, "backbone": self.backbone, "weights": self.weights_digest}

    @property
    def path(self) -> Path:
        """The image folder."""
        return Path(self.folder)
