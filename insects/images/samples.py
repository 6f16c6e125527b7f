"""Choice of sample images to show of each class, and their pixels at a size to look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insects.images.features import ImageSet
from insects.images.reading import Pixels, read_pixels

SHOWN_SIZE = 160
"""Side of a shown image in pixels."""


def choose_samples(images: ImageSet, per_class: int = 5) -> NDArray[np.intp]:
    """Choose images of each class, from different groups where a class has enough of them, else evenly spaced.

    Args:
        images: The set.
        per_class: Most images of a class.

    Returns:
        Positions of the images, class by class.
    """
    chosen: list[int] = []
    groups = images.annotations.groups or images.annotations.files
    for code in range(len(images.table.classes)):
        rows = sorted(np.flatnonzero(images.table.y == code).tolist(), key=lambda row: (groups[row], row))
        # `rows` is sorted by group: the first image of each group.
        starts = [row for place, row in enumerate(rows) if place == 0 or groups[row] != groups[rows[place - 1]]]
        pool = starts if len(starts) >= per_class else rows
        count = min(per_class, len(pool))
        chosen += [pool[place * len(pool) // count] for place in range(count)]
    return np.array(chosen, np.intp)


def shown_pixels(images: ImageSet, rows: NDArray[np.intp], size: int = SHOWN_SIZE) -> Pixels:
    """Pixels of some images, decoded from their files again: those of the set are too small to look at.

    Args:
        images: The set.
        rows: `(M,)` positions in the set.
        size: Side of the images in pixels.

    Returns:
        `(M, 3, size, size)` uint8 RGB.
    """
    files = [images.annotations.files[row] for row in rows]
    return read_pixels(images.annotations.folder, files, size)[0]
