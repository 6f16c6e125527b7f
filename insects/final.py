"""The final: a configuration is trained again on K folds, and judged by the rows that each network did not see.

Shapes: N rows, V rows of a fold, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from insects import mlp
from insects.evaluation import row_losses
from insects.mlp import Floats
from insects.objective import history_columns, history_row, metric_column, needs_logits
from insects.params import ClassWeight, Metric, Recipe, TrialParams
from insects.splits import Labels, Splits
from insects.training import Progress, fold_seed
from insects.training.state import class_weights
from insects.trial import TrialResult, TrialTask, run_trial


@dataclass(frozen=True)
class FoldTask:
    """The training of a finalist with one fold held out.

    Attributes:
        trial: The finalist's trial, with the seed of the study.
        fold: The fold that is held out, from 0.
    """

    trial: TrialTask
    fold: int


@dataclass(frozen=True)
class FoldResult:
    """A network of a finalist.

    Attributes:
        trial: How its training went; the validation rows are those of the fold.
        fold: The fold that was held out, from 0.
        logits: `(V, C)` float32, what the network of the best epoch says of the fold's rows; empty if training failed.
        y: `(V,)` int32, the classes of these rows.
    """

    trial: TrialResult
    fold: int
    logits: Floats
    y: Labels


def run_fold(
    task: FoldTask, splits: Splits, interrupt: NDArray[np.uint8] | None = None, progress: Progress | None = None
) -> FoldResult:
    """Train a finalist with one fold held out; see `insects.trial.run_trial`.

    Args:
        task: The training.
        splits: The rows of the other folds as training rows, those of the fold as validation rows.
        interrupt: `(1,)` uint8; another thread sets it to 1 to end the training.
        progress: Follows the training, for another thread to read.

    Returns:
        The result, of any state.

    Raises:
        TrainingInterrupted: `interrupt` was set.
    """
    seed = fold_seed(task.trial.seed, task.trial.number, task.fold)
    trial = run_trial(replace(task.trial, seed=seed), splits, interrupt, progress)
    logits_VC = np.empty((0, splits.shape.classes), np.float32)
    if trial.best_epoch:
        logits_VC = mlp.logits(trial.weights, trial.params, splits.shape, splits.valid_x)
    return FoldResult(trial, task.fold, logits_VC, splits.valid_y)


@dataclass(frozen=True)
class Finalist:
    """A configuration that was trained on all folds.

    Attributes:
        number: The trial's number.
        folds: A network for each fold, in order.
        class_weight: What a row counts in the loss; see `insects.params.Recipe`.
    """

    number: int
    folds: tuple[FoldResult, ...]
    class_weight: ClassWeight = "none"

    @property
    def params(self) -> TrialParams:
        """The hyperparameters of every network."""
        return self.folds[0].trial.params

    @property
    def metric(self) -> Metric:
        """What the study is about."""
        return self.folds[0].trial.metric

    @property
    def is_sound(self) -> bool:
        """Whether every network has an epoch with a finite loss."""
        return all(fold.trial.best_epoch for fold in self.folds)

    @property
    def y(self) -> Labels:
        """`(N,)` classes of the rows that were held out once, fold after fold."""
        return np.concatenate([fold.y for fold in self.folds])

    @property
    def logits(self) -> Floats:
        """`(N, C)`, what is said of each of these rows by the network that did not see it."""
        return np.concatenate([fold.logits for fold in self.folds])

    @property
    def row_losses(self) -> NDArray[np.float64]:
        """`(N,)` weighted loss of each of these rows."""
        logits_NC, y_N = self.logits, self.y
        weight_C = class_weights(Recipe(class_weight=self.class_weight), y_N, logits_NC.shape[1])
        return row_losses(logits_NC, y_N) * weight_C[y_N]

    @cached_property
    def figures(self) -> dict[str, float]:
        """`loss`, `accuracy` and the study's metric, out of fold; an infinite loss and zeros if a network failed."""
        names = [name.removeprefix("valid_") for name in history_columns(self.metric) if name.startswith("valid_")]
        if not self.is_sound:
            return {name: math.inf if name == "loss" else 0.0 for name in names}
        logits_NC, y_N = self.logits, self.y
        accuracy = float((logits_NC.argmax(axis=1) == y_N).mean())
        metrics = 0.0, 0.0, float(self.row_losses.mean()), accuracy
        row = history_row(self.metric, metrics, logits_NC if needs_logits(self.metric) else None, y_N)
        return dict(zip(names, map(float, row[2:]), strict=True))

    @property
    def objective(self) -> float:
        """What the study minimizes, out of fold; infinity if a network failed."""
        value = self.figures[metric_column(self.metric).removeprefix("valid_")]
        return value if self.metric == "loss" else 1 - value


def chosen_finalist(finalists: Sequence[Finalist]) -> Finalist | None:
    """Return the finalist with the lowest objective, on a tie the one with fewer weights, then the lower number.

    Args:
        finalists: The finalists, in any order.

    Returns:
        The finalist; None if no finalist is sound.
    """
    sound = [finalist for finalist in finalists if finalist.is_sound]
    return min(sound, key=lambda f: (f.objective, f.folds[0].trial.parameters, f.number), default=None)
