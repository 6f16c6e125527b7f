"""Tables to split, and comparisons of their rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from insects.splits import Splits, Table


def a_table(counts: list[int], features: int = 3, seed: int = 0) -> Table:
    """A table of distinct random rows, `counts` of each class."""
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.repeat(np.arange(len(counts), dtype=np.int32), counts))
    x = generator.normal(3, 2, (len(y), features)).astype(np.float32)
    return Table(tuple(f"f{i}" for i in range(features)), tuple(f"c{i}" for i in range(len(counts))), x, y, "a.csv")


def rows(x: np.ndarray, y: np.ndarray) -> list[tuple[float, ...]]:
    """Rows with their labels, sorted: equal for any order of the rows."""
    return sorted((*row, label) for row, label in zip(x.tolist(), y.tolist(), strict=True))


def unstandardized(splits: Splits, x: np.ndarray) -> np.ndarray:
    """Rows of the splits in the units of the table."""
    unstandardized_x: np.ndarray = x * splits.encoder.std + splits.encoder.mean
    return unstandardized_x


def counts(y: np.ndarray, classes: int) -> list[int]:
    """Rows of each class."""
    return [int(count) for count in np.bincount(y, minlength=classes)]


def uneven(splits: Splits) -> Splits:
    """The splits with fewer training rows of the higher classes: half of class 1, a third of class 2, and so on."""
    kept_N = np.random.default_rng(0).random(len(splits.train_y)) < 1 / (splits.train_y + 1)
    return replace(splits, train_x=splits.train_x[kept_N], train_y=splits.train_y[kept_N])
