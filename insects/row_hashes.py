"""Hashes of rows by their content, which splits and folds are drawn by and rows are recognized by.

Shapes: N rows, K coded columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats

Hashes = NDArray[np.uint64]


def row_hashes(columns: Iterable[NDArray[Any]], rows: int, seed: int) -> Hashes:
    """A 64-bit hash of each row.

    Args:
        columns: Arrays `(N,)`: float32 numbers, whose bits count, or uint64 hashes of other content.
        rows: Number of rows, N.
        seed: Seed that the hashes begin with.

    Returns:
        `(N,)` hashes.
    """
    state_N = mix(np.full(rows, seed % 2**64, dtype=np.uint64))
    for column in columns:
        if column.dtype == np.float32:
            value_N = column + np.float32(0)  # turns -0.0, which has other bits, into 0.0
            value_N[np.isnan(value_N)] = np.nan  # one of the many bit patterns of NaN
            column = value_N.view(np.uint32)
        state_N = mix(state_N ^ column)
    return state_N


def row_keys(x_NK: Floats, y_N: NDArray[np.int32]) -> Hashes:
    """A key of each coded row with its class, by which it is recognized: equal for equal rows.

    Args:
        x_NK: `(N, K)` float32, coded rows.
        y_N: `(N,)` their class numbers.

    Returns:
        `(N,)` keys.
    """
    columns = (x_NK[:, column] for column in range(x_NK.shape[1]))
    return row_hashes(itertools.chain(columns, [y_N.astype(np.uint64)]), len(x_NK), seed=0)


def mix(state_N: Hashes) -> Hashes:
    """One step of SplitMix64, a bijection of 64 bits (Steele, Lea and Flood, 2014, doi:10.1145/2660193.2660195)."""
    mixed_N = state_N + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed_N ^= mixed_N >> np.uint64(shift)
        mixed_N *= np.uint64(factor)
    mixed_N ^= mixed_N >> np.uint64(31)
    return mixed_N
