"""Annotated images -> `ImageSet`: pixels and features, computed once and kept in a cache folder.

The cache is keyed by the digest of the files' bytes. Names, sizes and times of files would be quicker to look at, but a
copy or a checkout sets them as it likes, and a stale feature is a wrong result; hashing a file takes a hundredth of the
time of decoding it. Row order, names and labels are not in the key, so correcting a label reads no pixel again.

Shapes: N images, U different images, S image size, F features.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from insects.errors import DataError, StoreError
from insects.images.annotations import Annotations
from insects.mlp import Floats
from insects.splits import Table

Pixels = NDArray[np.uint8]

PIXEL_SIZE, BACKBONE_SIZE = 32, 224
"""Default image sizes: for pixels by measurement (`benchmarks/image_accuracy.py`), for a backbone what it was made for."""

_FORMAT = 1  # of the cache; a new one when decoding or resizing changes
_BATCH = 64


@dataclass(frozen=True)
class FeatureRecipe:
    """How an image becomes features. weights: of the backbone, a file; None: torchvision's own."""

    size: int = PIXEL_SIZE
    backbone: str | None = None
    weights: Path | None = None

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 1024:
            raise DataError(f"the image size must be in 8 to 1024 pixels, found {self.size}; change --image-size")
        if self.weights is not None and self.backbone is None:
            raise DataError("--weights needs the network that they are for; name it with --backbone")


@dataclass(frozen=True)
class ImageSet:
    """Images that could be read.

    annotations: their rows. digests: SHA-256 of each file. pixels: `(N, 3, S, S)` uint8 RGB. table: features
    `(N, F)` float32, in the order of the rows. skipped: what was wrong with the images left out, a line each.
    """

    annotations: Annotations
    digests: tuple[str, ...]
    pixels: Pixels
    table: Table
    skipped: tuple[str, ...]


def load_images(
    annotations: Annotations,
    recipe: FeatureRecipe,
    cache: Path,
    *,
    skip_bad: bool = False,
    on_image: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> ImageSet:
    """Features of annotated images, from the cache where they are in it; the files are read in any case.

    Args: cache: a folder, made if it is not there. skip_bad: leave out what cannot be read. on_image: called with the
    images done and in all while images are decoded. workers: threads; None: one a core.
    Raises: DataError: an image cannot be read, none is left, or the backbone is not to be had. StoreError: the cache
    cannot be written.
    """
    # Decoding needs torch and torchvision, which take seconds to import; what is cached needs neither.
    from insects.images.digests import read_digests

    digests, faults = read_digests(annotations.folder, annotations.files, workers)
    found = [row for row in range(len(digests)) if row not in faults]
    unique, first, inverse = np.unique([digests[row] for row in found], return_index=True, return_inverse=True)
    key = hashlib.sha256("".join(unique).encode()).hexdigest()[:24]

    def read() -> dict[str, NDArray]:
        from insects.images.reading import read_pixels

        files = [annotations.files[found[position]] for position in first]
        pixels_U, reasons = read_pixels(annotations.folder, files, recipe.size, on_image, workers)
        return {"pixels": pixels_U, "reasons": np.array([reasons.get(position, "") for position in range(len(files))])}
    ...
