"""Memory footprint of images: whether a set fits, and how many images a backbone processes at a time."""

from __future__ import annotations

from insects import memory
from insects.errors import DataError

PIXELS, BACKBONE = 10, 2
"""Peak bytes per number of an image: uint8 in the cache's and in the set's array; if the pixels are the features, also
float32 in the table and in its splits."""

_BATCH, _BATCH_SIDE = 64, 224
"""Images of a backbone's batch, and the largest side in pixels for which that batch is used."""


def check_fits(images: int, size: int, bytes_per_number: int) -> None:
    """Check that a set of images fits into memory.

    Args:
        images: Number of images.
        size: Their side in pixels.
        bytes_per_number: `PIXELS` or `BACKBONE`.

    Raises:
        DataError: It does not fit.
    """
    needed, free = bytes_per_number * images * 3 * size**2, memory.available()
    if free is not None and needed > free:
        raise DataError(
            f"{images:,} images of {size} by {size} pixels must fit into memory: they take about "
            f"{memory.gigabytes(needed)}, {memory.gigabytes(free)} are free; choose a smaller image size",
            parameter="image_size",
        )


def images_at_once(size: int) -> int:
    """Images that a backbone processes at a time: 64 of up to 224 by 224 pixels, fewer if they are larger.

    Examples:
        >>> images_at_once(32), images_at_once(448), images_at_once(10_000)
        (64, 16, 1)
    """
    return max(1, min(_BATCH, _BATCH * _BATCH_SIDE**2 // size**2))
