"""The time that a search takes, from a few steps of networks that are thrown away."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from insects.mlp import parameter_count
from insects.params import Recipe, TrialParams
from insects.splits import Splits
from insects.training import advance, init
from search.study.config import FINAL_EPOCHS, StudyConfig

_POINTS = 8
_STEP_FLOP = 6  # a parameter and row
_FLOP = 3e8  # of the steps that are timed of one network, some hundredths of a second
_MOST_ROWS = 2048


@dataclass(frozen=True)
class Estimate:
    """Seconds of training, approximately.

    Attributes:
        trials: All trials that are left.
        final: The final.
    """

    trials: float
    final: float


def estimated_seconds(config: StudyConfig, splits: Splits, *, trials: int, done: int, at_once: int) -> Estimate:
    """Estimate how long a search trains.

    Args:
        config: The study's settings.
        splits: Its data.
        trials: Trials that the study will have.
        done: Trials that it has.
        at_once: Trials trained side by side.
    """
    given, left = len(config.configs[done:trials]), trials - done
    proposed = _a_trial(config, splits, _spread(config))
    seconds = proposed * (left - given)
    if given:
        step = -(-given // _POINTS)
        seconds += given * _a_trial(config, splits, config.configs[done:trials:step])
    networks = config.final.finalists * config.final.folds
    # A network sees the rows of all folds but one; a trial the training rows alone.
    rows = (len(splits.train_y) + len(splits.valid_y)) * (1 - 1 / config.final.folds) / len(splits.train_y)
    final = proposed * FINAL_EPOCHS * rows * networks / min(at_once, networks or 1)
    return Estimate(seconds / min(at_once, config.window), final if networks else 0.0)


def _spread(config: StudyConfig) -> list[TrialParams]:
    """Points spread over the space: in each direction one in each eighth of it."""
    shares = [(place + 0.5) / _POINTS for place in range(_POINTS)]
    return [
        config.space.from_unit_cube(shares[n], shares[(3 * n + 1) % _POINTS], 0.5, shares[(5 * n + 2) % _POINTS])
        for n in range(_POINTS)
    ]


def _a_trial(config: StudyConfig, splits: Splits, points: Sequence[TrialParams]) -> float:
    """Return the mean seconds of a trial at these points."""
    seconds = [_an_epoch(config, splits, params) for params in (points[0], *points)][1:]  # the first loads the engine
    return sum(seconds) / len(seconds) * config.recipe.epochs


def _an_epoch(config: StudyConfig, splits: Splits, params: TrialParams) -> float:
    """Return the seconds of an epoch, from one on some of the rows."""
    flop = _STEP_FLOP * parameter_count(params, splits.shape)
    part = min(1.0, max(params.batch_size, min(_MOST_ROWS, _FLOP / flop)) / len(splits.train_y))
    train, valid = (max(1, int(part * len(y))) for y in (splits.train_y, splits.valid_y))
    few = replace(
        splits,
        train_x=splits.train_x[:train],
        train_y=splits.train_y[:train],
        valid_x=splits.valid_x[:valid],
        valid_y=splits.valid_y[:valid],
    )
    state = init(params, Recipe(1, class_weight=config.recipe.class_weight), splits.shape, seed=0, trial=0)
    started = time.perf_counter()
    advance(state, few, 1, engine=config.choice.engine, device=config.choice.device)
    return (time.perf_counter() - started) / part
