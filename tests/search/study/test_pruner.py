"""The pruner decides as Optuna's PercentilePruner and MedianPruner do."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insects.params import Metric
from insects.trial import TrialResult
from search.study.pruner import STARTUP_TRIALS, PercentilePruner
from tests.support.studies import a_failure, a_result

EPOCHS = 5
NAMES: tuple[Metric, ...] = ("loss", "balanced-accuracy")

loss = st.floats(0, 10) | st.sampled_from([0.5, 1.0, 2.0])  # equal losses are the hard case
whole = st.lists(loss, min_size=EPOCHS, max_size=EPOCHS)
diverged = st.lists(loss, max_size=EPOCHS - 1).map(lambda losses: [*losses, math.nan])
histories = st.lists(whole | diverged, max_size=12)


def optuna_prunes_after(told: list[TrialResult], losses: list[float], pruner: optuna.pruners.BasePruner) -> int | None:
    """The epoch after which Optuna would prune a trial with these losses, when it is asked after each."""
    study = optuna.create_study(pruner=pruner)
    states = {"complete": optuna.trial.TrialState.COMPLETE, "failed": optuna.trial.TrialState.FAIL}
    for result in told:
        values = {epoch: float(value) for epoch, value in enumerate(result.valid_losses, start=1)}
        value = result.valid_loss if result.state == "complete" else None
        study.add_trial(optuna.trial.create_trial(state=states[result.state], value=value, intermediate_values=values))
    trial = study.ask()
    for epoch, value in enumerate(losses, start=1):
        trial.report(value, epoch)
        if trial.should_prune():
            return epoch
    return None


def we_prune_after(told: list[TrialResult], losses: list[float], percentile: float) -> int | None:
    limits = PercentilePruner(percentile).prune_above(told, EPOCHS)
    lowest = np.minimum.accumulate(losses)
    return next((epoch for epoch in range(1, EPOCHS + 1) if lowest[epoch - 1] > limits[epoch - 1]), None)


@settings(deadline=None, derandomize=True, database=None)
@given(histories=histories, losses=whole, percentile=st.sampled_from([1.0, 25.0, 33.3, 50.0, 75.0, 100.0]))
def test_decisions_equal_those_of_optunas_percentile_pruner(
    histories: list[list[float]], losses: list[float], percentile: float
) -> None:
    told = [a_result(number, losses=history) for number, history in enumerate(histories)]
    told.append(a_failure(len(told)))
    pruner = optuna.pruners.PercentilePruner(percentile)
    assert we_prune_after(told, losses, percentile) == optuna_prunes_after(told, losses, pruner)


def test_median_equals_optunas_median_pruner_on_random_curves() -> None:
    generator = np.random.default_rng(0)
    curves = np.cumsum(generator.normal(-0.1, 0.3, (60, EPOCHS)), axis=1) + 3
    told = [a_result(number, losses=curve) for number, curve in enumerate(curves[:10])]
    ours = [we_prune_after(told, list(curve), 50.0) for curve in curves[10:]]
    assert ours == [optuna_prunes_after(told, list(curve), optuna.pruners.MedianPruner()) for curve in curves[10:]]
    assert None in ours
    assert len(set(ours)) > 2


def test_threshold_is_the_percentile_of_the_completed_trials_losses_after_the_same_epoch() -> None:
    told = [a_result(number, losses=[number, 10 - number]) for number in range(5)]
    np.testing.assert_array_equal(PercentilePruner(25.0).prune_above(told, 3), [1.0, 7.0, math.inf])


@pytest.mark.parametrize("pruner", [PercentilePruner(None), PercentilePruner(50.0)])
def test_nothing_is_pruned_without_a_percentile_or_before_enough_trials_are_complete(pruner: PercentilePruner) -> None:
    few = [a_result(number) for number in range(STARTUP_TRIALS - 1)] + [a_failure(9)]
    many = few + [a_result(number) for number in range(10, 20)]
    assert np.isinf(pruner.prune_above(few, EPOCHS)).all()
    assert np.isinf(pruner.prune_above(many, EPOCHS)).all() == (pruner.percentile is None)


def test_pruned_trials_set_no_threshold() -> None:
    told = [a_result(number, losses=[number]) for number in range(5)]
    with_pruned = [*told, a_result(5, losses=[9.0], state="pruned")]
    pruner = PercentilePruner(50.0)
    assert pruner.prune_above(told, EPOCHS)[0] == 2.0  # 2.5 if the pruned one counted
    np.testing.assert_array_equal(pruner.prune_above(told, EPOCHS), pruner.prune_above(with_pruned, EPOCHS))


def test_thresholds_are_percentiles_of_the_objective() -> None:
    curves = [(0.5, 0.25 + 0.0625 * number) for number in range(STARTUP_TRIALS)]
    by_loss, by_score = ([a_result(n, losses=c, metric=metric) for n, c in enumerate(curves)] for metric in NAMES)
    for told in (by_loss, by_score):
        assert PercentilePruner(50.0).prune_above(told, 3).tolist() == [0.5, 0.375, math.inf]
