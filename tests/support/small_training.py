"""A short training run of the compiled engine, also for processes with other settings of numba."""

from __future__ import annotations

import numpy as np

from insects.params import Recipe, TrialParams
from insects.splits import Splits
from insects.training import TrainingState, advance, init
from tests.support.encoders import plain_encoder


def small_training() -> TrainingState:
    """The state after two epochs on 70 random rows."""
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(100, 3)).astype(np.float32), np.arange(100, dtype=np.int32) % 5
    splits = Splits(tuple("abc"), tuple("01234"), x[:70], y[:70], x[70:], y[70:], plain_encoder("abc"), "")
    return advance(init(TrialParams(3, 37, 3e-3, 7), Recipe(2), splits.shape, 0, 0), splits, 2)


def save_small_training(path: str) -> None:
    """Write weights, history and the vector unit's lanes to an `.npz` file."""
    from insects.training import kernel

    state = small_training()
    np.savez(path, lanes=kernel.LANES.count, weights=state.weights, history=state.history)
