"""The best trial of several."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from insects.objective import objectives
from insects.params import Metric
from insects.trial import TrialResult, best_of
from tests.support.studies import a_failure, a_result


def test_best_trial_is_the_complete_one_with_the_lowest_loss_and_the_lowest_number() -> None:
    lower = [a_result(0, losses=(0.1,), state="pruned"), a_result(1, losses=(math.nan,)), a_failure(2)]
    equal = [a_result(number, losses=(2.0, 0.5)) for number in (4, 3)]
    best = best_of([*lower, a_result(5, losses=(0.6,)), *equal])
    assert best is not None
    assert best.number == 3
    assert best_of(lower) is None
    assert best_of([replace(best, number=9), best]) is best


def of_metric(metric: Metric, rows: list[list[float]], number: int = 0, parameters: int = 7) -> TrialResult:
    """A complete result with this history, and its best epoch as an engine finds it."""
    history = np.array(rows, np.float64)
    best_epoch = int(np.argmin(objectives(history, metric))) + 1
    result = replace(a_result(number), history=history, best_epoch=best_epoch, metric=metric)
    return replace(result, parameters=parameters)


def test_objective_is_the_loss_or_one_minus_the_metric() -> None:
    rows = [[0.9, 0.5, 0.8, 0.75, 0.625], [0.7, 0.6, 0.9, 0.5, 0.875]]
    auc = of_metric("roc-auc", rows)
    assert (auc.objective, auc.best_epoch, auc.valid_loss, auc.valid_accuracy) == (0.125, 2, 0.9, 0.5)
    assert auc.objectives.tolist() == [0.375, 0.125]
    assert auc.best_figures == {"valid_loss": 0.9, "valid_accuracy": 0.5, "valid_roc_auc": 0.875}
    accuracy = of_metric("accuracy", [row[:4] for row in rows])
    assert (accuracy.objective, accuracy.best_epoch) == (0.25, 1)
    assert a_result(0, losses=(1.5, 0.9)).objective == 0.9
    nothing = a_result(0, losses=(math.nan,))
    assert (nothing.objective, nothing.best_figures) == (math.inf, {"valid_loss": math.inf, "valid_accuracy": 0.0})
    lost = of_metric("accuracy", [[0.9, 0.5, 0.8, 0.75], [0.9, 0.5, math.nan, 1.0]])
    assert lost.objectives.tolist() == [0.25, math.inf]


def test_of_equal_objectives_the_smaller_network_is_the_best_then_the_lower_number() -> None:
    large, small, later, worse = (
        of_metric("accuracy", [[0.9, 0.5, 0.8, accuracy]], number, parameters)
        for number, parameters, accuracy in ((0, 90, 0.75), (2, 40, 0.75), (3, 40, 0.75), (1, 5, 0.5))
    )
    assert best_of([later, worse, small, large]) is small
    without = replace(small, weights=np.empty(0, np.float32))
    assert without.parameters == 40
    assert a_result(0).parameters == len(a_result(0).weights) == 7
