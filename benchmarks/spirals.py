"""Fresh spirals: tables like the built-in one, and draws to judge a model on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insects.mlp import Floats
from insects.spiral import ARMS, FEATURES, TRAIN_ROWS, spiral
from insects.splits import Labels

PER_CLASS = 300
FIRST_DRAW = 1_000_000  # no seed of the built-in tables or of another search


def write_spiral(folder: Path, seed: int) -> list[str]:
    """Write the training and the test rows of a spiral to CSV files; return the options of a search on them.

    Args:
        folder: An existing folder.
        seed: The spiral's seed.
    """
    x, y = spiral(seed, PER_CLASS)
    options = []
    for name, rows in (("train", slice(TRAIN_ROWS)), ("test", slice(TRAIN_ROWS, None))):
        path, head = folder / f"{name}.csv", ",".join(("labels", *FEATURES))
        content = np.column_stack([y[rows], x[rows]])
        np.savetxt(path, content, ["%d", "%.9f", "%.9f"], ",", header=head, comments="")
        options += [f"--{name}", str(path)]
    return options


def draws(first_seed: int, spirals: int) -> tuple[Floats, Labels]:
    """Draw fresh spirals: points `(N, 2)` and the numbers of their arms.

    Args:
        first_seed: The seed of the first spiral; each has the next one.
        spirals: How many spirals of 1,500 points.
    """
    points, arms = zip(*(spiral(first_seed + drawn, PER_CLASS) for drawn in range(spirals)), strict=True)
    return np.concatenate(points).astype(np.float32), np.concatenate(arms)


def spirals_for(points: int) -> int:
    """The whole spirals that have at least so many points."""
    return -(-points // (ARMS * PER_CLASS))
