"""The final: a configuration is trained again on K folds, and judged by the rows that each network did not see.

Shapes: N rows, V rows of a fold, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from insects import mlp
from insects.evaluation import row_losses
from insects.mlp import Floats
from insects.params import TrialParams
from insects.splits import Labels, Splits
from insects.training import fold_seed
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


def run_fold(task: FoldTask, splits: Splits, interrupt: NDArray[np.uint8] | None = None) -> FoldResult:
    """Train a finalist with one fold held out; see `insects.trial.run_trial`.

    Args:
        task: The training.
        splits: The rows of the other folds as training rows, those of the fold as validation rows.
        interrupt: `(1,)` uint8; another thread sets it to 1 to end the training.

    Returns:
        The result, of any state.

    Raises:
        TrainingInterrupted: `interrupt` was set.
    """
    seed = fold_seed(task.trial.seed, task.trial.number, task.fold)
    trial = run_trial(replace(task.trial, seed=seed), splits, interrupt)
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
    """

    number: int
    folds: tuple[FoldResult, ...]

    @property
    def params(self) -> TrialParams:
        """The hyperparameters of every network."""
        return self.folds[0].trial.params

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
    def loss(self) -> float:
        """Mean cross entropy out of fold; infinity if a network failed."""
        return float(row_losses(self.logits, self.y).mean()) if self.is_sound else math.inf

    @property
    def accuracy(self) -> float:
        """Accuracy out of fold; 0 if a network failed."""
        return float((self.logits.argmax(axis=1) == self.y).mean()) if self.is_sound else 0.0


def chosen_finalist(finalists: Sequence[Finalist]) -> Finalist | None:
    """Return the finalist with the lowest loss out of fold, on a tie the one with fewer weights, then the lower number.

    Args:
        finalists: The finalists, in any order.

    Returns:
        The finalist; None if no finalist is sound.
    """
    sound = [finalist for finalist in finalists if finalist.is_sound]
    return min(sound, key=lambda f: (f.loss, len(f.folds[0].trial.weights), f.number), default=None)
