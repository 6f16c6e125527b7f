"""Training one trial, from `TrialTask` to `TrialResult`: the work of one search worker."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats
from insects.params import Recipe, TrialParams
from insects.splits import Splits
from insects.training import METRICS, Engine, TrainingInterrupted, advance, init

TrialState = Literal["complete", "pruned", "failed"]

_VALID_LOSS, _VALID_ACCURACY = METRICS.index("valid_loss"), METRICS.index("valid_accuracy")


@dataclass(frozen=True)
class TrialResult:
    """A trial that has ended.

    Attributes:
        number: The trial's number in the study, from 0.
        params: Its hyperparameters.
        state: `complete` (all epochs, or up to a loss that is not finite), `pruned`, or `failed` (training raised).
        reason: Why it ended early: one line, or the traceback of a failure; empty if it did not.
        history: `(E, 4)` float64, one row per epoch, columns `insects.training.METRICS`.
        best_epoch: Epoch of the lowest validation loss, counted from 1; 0 if no epoch had a finite one.
        weights: `(P,)` float32 after the best epoch; the initial weights if there is none, empty for a failed trial.
        started: Unix time in seconds.
        seconds: Wall time of the training.
    """

    number: int
    params: TrialParams
    state: TrialState
    reason: str
    history: NDArray[np.float64]
    best_epoch: int
    weights: Floats
    started: float
    seconds: float

    @property
    def valid_loss(self) -> float:
        """The objective: validation loss of the best epoch; infinity if there is none."""
        return float(self.history[self.best_epoch - 1, _VALID_LOSS]) if self.best_epoch else math.inf

    @property
    def valid_accuracy(self) -> float:
        """Validation accuracy of the best epoch; 0 if there is none."""
        return float(self.history[self.best_epoch - 1, _VALID_ACCURACY]) if self.best_epoch else 0.0

    @property
    def valid_losses(self) -> NDArray[np.float64]:
        """Validation loss of each epoch, `(E,)`."""
        return self.history[:, _VALID_LOSS]

    @property
    def epochs(self) -> int:
        """Number of trained epochs, E."""
        return len(self.history)


def best_of(results: Sequence[TrialResult]) -> TrialResult | None:
    """The complete trial with the lowest finite validation loss, on a tie the one with the lower number."""
    candidates = [result for result in results if result.state == "complete" and result.best_epoch]
    return min(candidates, key=lambda result: (result.valid_loss, result.number), default=None)


@dataclass(frozen=True)
class TrialTask:
    """Everything besides the data that the result of a trial depends on.

    Attributes:
        number: The trial's number in the study, from 0.
        params: Its hyperparameters.
        recipe: How it is trained.
        seed: The study's seed.
        prune_above: `(recipe.epochs,)` float64. The trial is pruned after an epoch if its lowest validation loss so far
            is above the epoch's value; infinity never prunes.
        engine: The engine to train with.
        device: A torch device.
    """

    number: int
    params: TrialParams
    recipe: Recipe
    seed: int
    prune_above: NDArray[np.float64]
    engine: Engine
    device: str


def run_trial(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8] | None = None) -> TrialResult:
    """Train one trial. An exception in training gives a failed result, so that the search can go on.

    Args:
        task: The trial to train.
        splits: Training and validation rows.
        interrupt: `(1,)` uint8; another thread sets it to 1 to end the training.

    Returns:
        The result, of any state.

    Raises:
        TrainingInterrupted: `interrupt` was set.

    Examples:
        >>> from insects.spiral import builtin_tables
        >>> from insects.splits import split
        >>> params = TrialParams(depth=1, width=16, lr=0.01, batch_size=32)
        >>> task = TrialTask(0, params, Recipe(epochs=2), 0, np.full(2, np.inf), "compiled", "cpu")
        >>> result = run_trial(task, split(builtin_tables()[0])[0])
        >>> result.state, result.epochs
        ('complete', 2)
    """
    started, clock = time.time(), time.perf_counter()
    try:
        state = advance(
            init(task.params, task.recipe, splits.shape, task.seed, task.number),
            splits,
            task.recipe.epochs,
            task.prune_above,
            engine=task.engine,
            device=task.device,
            interrupt=interrupt,
        )
    except TrainingInterrupted:
        raise
    except Exception:  # one configuration may run out of memory, say, and the next one not
        return TrialResult(
            number=task.number,
            params=task.params,
            state="failed",
            reason=traceback.format_exc(),
            history=np.empty((0, len(METRICS))),
            best_epoch=0,
            weights=np.empty(0, np.float32),
            started=started,
            seconds=time.perf_counter() - clock,
        )
    reasons = {
        "diverged": f"diverged: the loss was not finite in epoch {state.epoch}",
        "pruned": f"pruned: the validation loss was above the threshold after epoch {state.epoch}",
    }
    return TrialResult(
        number=task.number,
        params=task.params,
        state="pruned" if state.status == "pruned" else "complete",
        reason=reasons.get(state.status, ""),
        history=state.history,
        best_epoch=state.best_epoch,
        weights=state.best_weights,
        started=started,
        seconds=time.perf_counter() - clock,
    )
