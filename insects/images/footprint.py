"""What images take of memory: whether a set fits, and how many a network takes at once."""

from __future__ import annotations

from insects import memory
from insects.errors import DataError

PIXELS, BACKBONE = 10, 2
"""Bytes a number of an image, at the most: uint8 as it is cached and as it is used, and where the pixels are the
features, float32 in the table and in its splits."""

_AT_ONCE, _USUAL_SIDE = 64, 224


def check_fits(images: int, size: int, bytes_a_number: int) -> None:
    """See that images of `size` pixels a side fit into memory, before they are read.

    Raises: DataError: they do not.
    """
    needed, free = bytes_a_number * images * 3 * size**2, memory.available()
    if free is not None and needed > free:
        raise DataError(
            f"{images:,} images of {size} by {size} pixels must fit into memory: they take about "
            f"{memory.gigabytes(needed)}, {memory.gigabytes(free)} are free; lower --image-size"
        )


def images_at_once(size: int) -> int:
    """How many a network takes at once: 64 of up to 224 pixels a side, fewer larger ones in the same memory.

    Examples:
        >>> images_at_once(32), images_at_once(448), images_at_once(10_000)
        (64, 16, 1)
    """
    return max(1, min(_AT_ONCE, _AT_ONCE * _USUAL_SIDE**2 // size**2))
