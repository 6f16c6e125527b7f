"""One trial from parameters to result: what a worker runs, on this machine or another."""

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

    state: `complete` (trained to its end, or until its loss was no longer finite), `pruned` (ended by the stopping
    rule) or `failed` (raised). reason: why it ended early, one line and for a failure the traceback; else empty.
    history: `(E, 4)` float64, columns `insects.training.METRICS`. best_epoch: counted from 1, 0 if there is none.
    weights: `(P,)` float32 after the best epoch (the initial ones if there is none; empty for a failed trial).
    started: Unix time in seconds. seconds: wall time of the training.
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
        """The objective: the lowest validation loss over epochs; infinity if no epoch had a finite one."""
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
        """Epochs trained."""
        return len(self.history)


def best_of(results: Sequence[TrialResult]) -> TrialResult | None:
    """The complete trial with the lowest finite validation loss; of equals the one with the lower number."""
    candidates = [result for result in results if result.state == "complete" and result.best_epoch]
    return min(candidates, key=lambda result: (result.valid_loss, result.number), default=None)


@dataclass(frozen=True)
class TrialTask:
    """All that training one trial depends on, besides the data.

    stops: `(recipe.epochs,)` float64, the validation loss above which the trial is pruned after each epoch.
    """

    number: int
    params: TrialParams
    recipe: Recipe
    seed: int
    stops: NDArray[np.float64]
    engine: Engine
    device: str


def run_trial(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8] | None = None) -> TrialResult:
    """Train a trial to its end. What training raises makes a failed result, so that a search can go on.

    Raises: TrainingInterrupted: `interrupt` `(1,)` was set to 1 meanwhile.
    """
    started, clock = time.time(), time.perf_counter()
    try:
        state = advance(
            init(task.params, task.recipe, splits.shape, task.seed, task.number),
            splits,
            task.recipe.epochs,
            task.stops,
            engine=task.engine,
            device=task.device,
            interrupt=interrupt,
        )
    except TrainingInterrupted:
        raise
    except Exception:  # whatever one configuration runs into is that trial's end, not the search's
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
        "stopped": f"pruned: the validation loss was above the threshold after epoch {state.epoch}",
    }
    return TrialResult(
        number=task.number,
        params=task.params,
        state="pruned" if state.status == "stopped" else "complete",
        reason=reasons.get(state.status, ""),
        history=state.history,
        best_epoch=state.best_epoch,
        weights=state.best_weights,
        started=started,
        seconds=time.perf_counter() - clock,
    )
