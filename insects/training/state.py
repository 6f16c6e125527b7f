"""Training as data: where a trial stands (`TrainingState`), and the random numbers both engines share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from insects.errors import InsectsError
from insects.mlp import Floats, Shape, initial_weights
from insects.params import Recipe, TrialParams

METRICS = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
"""Columns of a history. The training figures are means over the epoch's rows, each taken as its batch was trained."""

Status = Literal["running", "finished", "stopped", "diverged"]

# First key of the streams that are drawn for a trial; a stream never shares its numbers with another.
_WEIGHTS, _BATCH_ORDER = 0, 1


class TrainingInterrupted(InsectsError):
    """The stop flag was raised before the asked epochs were done; the state that went in is still good."""


@dataclass(frozen=True)
class TrainingState:
    """Everything the rest of a trial depends on, besides the data.

    weights, first_moment, second_moment: `(P,)` float32, the flat vector of `insects.mlp` and Adam's moments of it.
    step: optimizer steps done. history: `(E, 4)` float64, a row an epoch, columns `METRICS`.
    best_epoch: the epoch, counted from 1, of the lowest finite validation loss (the first of equals); 0 if none yet.
    best_weights: `(P,)`, the weights after that epoch (the initial ones if there is none).
    status: `running`; `finished` after the recipe's last epoch; `stopped` by a threshold; `diverged` at a loss that is
    not finite (that epoch's row is the last of the history).
    """

    params: TrialParams
    recipe: Recipe
    shape: Shape
    seed: int
    trial: int
    weights: Floats
    first_moment: Floats
    second_moment: Floats
    step: int
    history: NDArray[np.float64]
    best_epoch: int
    best_weights: Floats
    status: Status

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)


def init(params: TrialParams, recipe: Recipe, shape: Shape, seed: int, trial: int) -> TrainingState:
    """The state before the first step of trial number `trial` of the study with seed `seed`."""
    weights = initial_weights(params, shape, _generator(seed, trial, _WEIGHTS))
    return TrainingState(
        params=params,
        recipe=recipe,
        shape=shape,
        seed=seed,
        trial=trial,
        weights=weights,
        first_moment=np.zeros(len(weights), np.float32),  # `zeros_like` would write, and take memory, before any use
        second_moment=np.zeros(len(weights), np.float32),
        step=0,
        history=np.empty((0, len(METRICS))),
        best_epoch=0,
        best_weights=weights,
        status="running",
    )


def batch_order(seed: int, trial: int, epoch: int, rows: int) -> NDArray[np.int32]:
    """The order `(rows,)` in which epoch `epoch` (from 0) takes the training rows; batches are runs of it."""
    return _generator(seed, trial, _BATCH_ORDER, epoch).permutation(rows).astype(np.int32)


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
