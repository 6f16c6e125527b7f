"""Principal components, computed in blocks: images have millions of features. Shapes: N rows, F features."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats

AT_ONCE = 1 << 25
"""Most numbers in a block, 128 MB of float32."""


def principal_plane(x_NF: Floats) -> tuple[Floats, Floats, tuple[float, float]]:
    """The plane of the first two principal components.

    Args:
        x_NF: `(N, F)` float32.

    Returns:
        The mean `(F,)`, the two directions `(2, F)` and the shares of variance along them. The largest entry of each
        direction is positive.
    """
    # Eigenvectors of the smaller of two matrices: covariance (F, F) or Gram (N, N).
    centre_F = x_NF.mean(axis=0)
    by_feature = x_NF.shape[1] <= len(x_NF)
    if by_feature:
        centred = (x_NF - centre_F).astype(np.float64)
        square = centred.T @ centred
    else:
        square = np.sum([block @ block.T for block in _centred_blocks(x_NF, centre_F)], axis=0)
    variances, vectors = np.linalg.eigh(square)
    variances, vectors = np.maximum(variances[:-3:-1], 0), vectors[:, :-3:-1]
    if by_feature:
        directions = vectors.T
    else:
        # An eigenvector u of X @ X.T gives the eigenvector X.T @ u of X.T @ X.
        directions = np.concatenate([vectors.T @ block for block in _centred_blocks(x_NF, centre_F)], axis=1)
    directions = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    peak = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    total = float(np.trace(square)) or 1.0
    shares = (float(variances[0]) / total, float(variances[1]) / total)
    return centre_F, (directions * np.where(peak < 0, -1, 1)).astype(np.float32), shares


def _centred_blocks(x_NF: Floats, centre_F: Floats) -> Iterator[NDArray[np.float64]]:
    """Blocks of columns `(N, B)`, with their means subtracted."""
    for block in row_blocks(x_NF.shape[1], len(x_NF)):
        yield (x_NF[:, block] - centre_F[block]).astype(np.float64)


def row_blocks(rows: int, columns: int) -> list[slice]:
    """Consecutive slices of the rows, each of at most `AT_ONCE` numbers or a single row.

    Examples:
        >>> row_blocks(3, AT_ONCE // 2)
        [slice(0, 2, None), slice(2, 3, None)]
    """
    step = max(1, AT_ONCE // columns)
    return [slice(start, min(start + step, rows)) for start in range(0, max(rows, 1), step)]
