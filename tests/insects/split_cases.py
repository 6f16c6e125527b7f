"""Tables to split, and what is compared of the splits."""

from __future__ import annotations

import numpy as np

from insects.splits import Splits, Table


def a_table(counts: list[int], features: int = 3, seed: int = 0) -> Table:
    """Rows of different values, `counts` of each class."""
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
    x = generator.normal(3, 2, (len(y), features)).astype(np.float32)
    return Table(tuple(f"f{i}" for i in range(features)), tuple(f"c{i}" for i in range(len(counts))), x, y, "a.csv")


def rows(x: np.ndarray, y: np.ndarray) -> list[tuple[float, ...]]:
    return sorted((*row, label) for row, label in zip(x.tolist(), y.tolist(), strict=True))


def raw(splits: Splits, x: np.ndarray) -> np.ndarray:
    raw_x: np.ndarray = x * splits.std + splits.mean
    return raw_x


def counts(y: np.ndarray, classes: int) -> list[int]:
    return [int(count) for count in np.bincount(y, minlength=classes)]
