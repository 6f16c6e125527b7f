"""The state of a trial's training, and the random numbers that both engines share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from insects.errors import InsectsError
from insects.mlp import Floats, Shape, initial_weights
from insects.objective import METRICS, history_columns, objectives
from insects.params import Recipe, TrialParams
from insects.splits import Labels

_VALID_LOSS = METRICS.index("valid_loss")
_LOSSES = [METRICS.index("train_loss"), _VALID_LOSS]

Status = Literal["running", "finished", "pruned", "diverged"]

# First key of each random stream of a trial, so that no two streams share their numbers.
_WEIGHTS, _BATCH_ORDER, _FOLD = 0, 1, 2


class TrainingInterrupted(InsectsError):
    """Training was interrupted before the requested epochs were done; the state passed in is still valid."""


@dataclass(frozen=True)
class TrainingState:
    """Everything that the rest of a trial depends on, besides the data. P: weights, E: epochs done.

    Attributes:
        params: The trial's parameters.
        recipe: Epochs, schedule, class weights and metric.
        shape: Features and classes of the data.
        seed: The study's seed.
        trial: The trial's number in the study.
        weights: `(P,)` float32, the flat vector of `insects.mlp`.
        first_moment: `(P,)` float32, Adam's moving mean of the gradients.
        second_moment: `(P,)` float32, Adam's moving mean of their squares.
        step: Optimizer steps done.
        history: `(E, M)` float64, a row for each epoch, columns `insects.objective.history_columns`.
        best_epoch: The epoch, from 1, with the lowest finite objective, of equals the one with the lower validation
            loss, then the first; 0 if none yet.
        best_weights: `(P,)` float32, the weights after that epoch, or the initial ones if there is none.
        status: `running`; `finished` after the recipe's last epoch; `pruned` after an epoch above its threshold;
            `diverged` after an epoch with a loss that is not finite, which is the last row of the history.
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
    """The state before the first step.

    Args:
        params: The trial's parameters.
        recipe: Epochs, schedule, class weights and metric.
        shape: Features and classes of the data.
        seed: The study's seed.
        trial: The trial's number in the study; with the seed it decides the weights and batch orders.
    """
    weights = initial_weights(params, shape, _generator(seed, trial, _WEIGHTS))
    return TrainingState(
        params=params,
        recipe=recipe,
        shape=shape,
        seed=seed,
        trial=trial,
        weights=weights,
        first_moment=np.zeros(len(weights), np.float32),  # `zeros_like` would take up memory before any use
        second_moment=np.zeros(len(weights), np.float32),
        step=0,
        history=np.empty((0, len(history_columns(recipe.metric)))),
        best_epoch=0,
        best_weights=weights,
        status="running",
    )


def class_weights(recipe: Recipe, y_N: Labels, classes: int) -> Floats:
    """What a row of each class counts in the losses and gradients; see `Recipe.class_weight`.

    Args:
        recipe: Names the kind of weights.
        y_N: `(N,)` class numbers of the training rows.
        classes: Number of classes, C.

    Returns:
        `(C,)` float32. Balanced, they are those of scikit-learn's `class_weight="balanced"`: their mean over the
        training rows is 1.

    Examples:
        >>> class_weights(Recipe(class_weight="balanced"), np.array([0, 0, 0, 1], np.int32), 2).tolist()
        [0.6666666865348816, 2.0]
    """
    if recipe.class_weight == "none":
        return np.ones(classes, np.float32)
    # A class without a training row, which no split of a table leaves, counts as if it had one.
    rows_C = np.maximum(np.bincount(y_N, minlength=classes), 1)
    return (len(y_N) / (classes * rows_C)).astype(np.float32)


def with_epoch(
    state: TrainingState, row: Sequence[float], step: int, prune_above: NDArray[np.float64]
) -> tuple[TrainingState, bool]:
    """Add an epoch to a state.

    Args:
        state: The state before the epoch.
        row: The epoch's row of the history.
        step: Optimizer steps done after the epoch.
        prune_above: See `insects.training.advance`.

    Returns:
        The state with history, best epoch and status after the epoch, but the weights, best weights and moments from
        before; and whether the epoch is the best so far.
    """
    history = np.concatenate([state.history, [row]])
    objective_E = objectives(history, state.recipe.metric)
    rank_E = list(zip(objective_E.tolist(), history[:, _VALID_LOSS].tolist(), strict=True))
    is_best = bool(np.isfinite(objective_E[-1])) and (not state.best_epoch or rank_E[-1] < rank_E[state.best_epoch - 1])
    best_epoch = len(history) if is_best else state.best_epoch
    lowest = objective_E[best_epoch - 1] if best_epoch else np.inf
    status: Status = "running"
    if not np.isfinite(history[-1, _LOSSES]).all():
        status = "diverged"
    elif lowest > prune_above[state.epoch]:
        status = "pruned"
    elif len(history) == state.recipe.epochs:
        status = "finished"
    return replace(state, step=step, history=history, best_epoch=best_epoch, status=status), is_best


def batch_order(seed: int, trial: int, epoch: int, rows: int) -> NDArray[np.int32]:
    """The order of the training rows in an epoch; its batches are consecutive parts of it.

    Args:
        seed: The study's seed.
        trial: The trial's number.
        epoch: From 0.
        rows: Number of training rows.

    Returns:
        `(rows,)` int32, a permutation.
    """
    return _generator(seed, trial, _BATCH_ORDER, epoch).permutation(rows).astype(np.int32)


def fold_seed(seed: int, trial: int, fold: int) -> int:
    """The seed that takes the place of the study's when a trial's configuration is trained with a fold held out.

    Args:
        seed: The study's seed.
        trial: The trial's number.
        fold: The fold, from 0.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(trial, _FOLD, fold)).generate_state(1)[0])


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))
