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
from insects.objective import METRICS, history_columns, metric_name, objectives
from insects.params import Metric, Recipe, TrialParams
from insects.splits import Splits
from insects.training import Engine, Progress, TrainingInterrupted, advance, init

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
        history: `(E, M)` float64, one row per epoch, columns `insects.objective.history_columns(metric)`.
        best_epoch: Epoch of the lowest objective, counted from 1; 0 if no epoch had a finite one.
        weights: `(P,)` float32 after the best epoch; the initial weights if there is none, empty for a failed trial.
        started: Unix time in seconds.
        seconds: Wall time of the training.
        metric: What the study is about, which decides the objective.
        parameters: Number of weights, P. It stays where the weights are dropped; 0: that of `weights`.
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
    metric: Metric = "loss"
    parameters: int = 0

    def __post_init__(self) -> None:
        if not self.parameters:
            object.__setattr__(self, "parameters", len(self.weights))

    @property
    def objectives(self) -> NDArray[np.float64]:
        """What the study minimizes, after each epoch, `(E,)`; see `insects.objective.objectives`."""
        return objectives(self.history, self.metric)

    @property
    def objective(self) -> float:
        """The objective of the best epoch; infinity if there is none."""
        return float(self.objectives[self.best_epoch - 1]) if self.best_epoch else math.inf

    @property
    def rank(self) -> tuple[float, int, int]:
        """Sorts trials, the best first: by objective, of equals the smaller network, then the lower number."""
        return self.objective, self.parameters, self.number

    @property
    def best_figures(self) -> dict[str, float]:
        """The validation metrics of the best epoch by column; infinity and zeros if there is none."""
        columns = history_columns(self.metric)[_VALID_LOSS:]
        row = self.history[self.best_epoch - 1, _VALID_LOSS:] if self.best_epoch else [math.inf] + [0.0] * len(columns)
        return {name: float(value) for name, value in zip(columns, row, strict=False)}

    @property
    def valid_loss(self) -> float:
        """Validation loss of the best epoch; infinity if there is none."""
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
    """The complete trial with the lowest finite objective; see `TrialResult.rank`."""
    candidates = [result for result in results if result.state == "complete" and result.best_epoch]
    return min(candidates, key=lambda result: result.rank, default=None)


@dataclass(frozen=True)
class TrialTask:
    """Everything besides the data that the result of a trial depends on.

    Attributes:
        number: The trial's number in the study, from 0.
        params: Its hyperparameters.
        recipe: How it is trained.
        seed: The study's seed.
        prune_above: `(recipe.epochs,)` float64. The trial is pruned after an epoch if its lowest objective so far is
            above the epoch's value; infinity never prunes.
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


def run_trial(
    task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8] | None = None, progress: Progress | None = None
) -> TrialResult:
    """Train one trial. An exception in training gives a failed result, so that the search can go on.

    Args:
        task: The trial to train.
        splits: Training and validation rows.
        interrupt: `(1,)` uint8; another thread sets it to 1 to end the training.
        progress: Follows the training, for another thread to read.

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
            progress=progress,
        )
    except TrainingInterrupted:
        raise
    except Exception:  # one configuration may run out of memory, say, and the next one not
        return TrialResult(
            number=task.number,
            params=task.params,
            state="failed",
            reason=traceback.format_exc(),
            history=np.empty((0, len(history_columns(task.recipe.metric)))),
            best_epoch=0,
            weights=np.empty(0, np.float32),
            started=started,
            seconds=time.perf_counter() - clock,
            metric=task.recipe.metric,
        )
    side = "above" if task.recipe.metric == "loss" else "below"
    reasons = {
        "diverged": f"diverged: the loss was not finite in epoch {state.epoch}",
        "pruned": f"pruned: the validation {metric_name(task.recipe.metric)} was {side} the threshold after epoch "
        f"{state.epoch}",
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
        metric=task.recipe.metric,
    )
