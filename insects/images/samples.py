"""Which images to show of a set, and their pixels large enough to be looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insects.images.features import ImageSet
from insects.images.reading import Pixels, read_pixels

SHOWN_SIZE = 160


def choose_samples(images: ImageSet, per_class: int = 5) -> NDArray[np.intp]:
    """Positions of some images of each class, class by class: of as many groups as there are, then evenly spread."""
    chosen: list[int] = []
    groups = images.annotations.groups or images.annotations.files
    for code in range(len(images.table.classes)):
        rows = sorted(np.flatnonzero(images.table.y == code).tolist(), key=lambda row: (groups[row], row))
        starts = [row for place, row in enumerate(rows) if place == 0 or groups[row] != groups[rows[place - 1]]]
        pool = starts if len(starts) >= per_class else rows
        count = min(per_class, len(pool))
        chosen += [pool[place * len(pool) // count] for place in range(count)]
    return np.array(chosen, np.intp)


def shown_pixels(images: ImageSet, rows: NDArray[np.intp], size: int = SHOWN_SIZE) -> Pixels:
    """Pixels `(M, 3, size, size)` of the images at `rows`, read anew from their files."""
    files = [images.annotations.files[row] for row in rows]
    return read_pixels(images.annotations.folder, files, size)[0]
