"""A finalist: networks that each have one fold held out, and its figures on rows that they did not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, log_loss, roc_auc_score

from insects import mlp
from insects.final import Finalist, FoldResult, FoldTask, chosen_finalist, run_fold
from insects.folds import held_out
from insects.mlp import Floats
from insects.params import Metric, Recipe
from insects.training import advance, fold_seed, init
from insects.trial import TrialTask
from tests.support.studies import PARAMS, a_result, builtin_data

LOGITS = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
Y = (np.arange(60) % 3).astype(np.int32)


def a_finalist(
    number: int = 0, logits: Floats = LOGITS, metric: Metric = "loss", parameters: int = 7, **options: str
) -> Finalist:
    """A finalist of two folds with these logits out of fold for the classes `Y`."""
    trial = replace(a_result(number), metric=metric, parameters=parameters)
    if metric in ("balanced-accuracy", "roc-auc"):
        trial = replace(trial, history=np.column_stack([trial.history, trial.history[:, 3]]))
    folds = (FoldResult(trial, 0, logits[:25], Y[:25]), FoldResult(trial, 1, logits[25:], Y[25:]))
    return Finalist(number, folds, **options)  # type: ignore[arg-type]


def softmax(logits: Floats) -> np.ndarray:
    power = np.exp(logits.astype(np.float64))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def test_fold_is_trained_from_its_own_seed_and_predicted_by_its_best_epoch() -> None:
    rows = builtin_data().fold_rows
    splits = held_out(rows.splits, rows.draw(3), 1)
    task = TrialTask(4, PARAMS, Recipe(3), 11, np.full(3, np.inf), "compiled", "cpu")
    result = run_fold(FoldTask(task, 1), splits)
    seed = fold_seed(11, 4, 1)
    state = advance(init(PARAMS, Recipe(3), splits.shape, seed, 4), splits, 3)
    np.testing.assert_array_equal(result.trial.history, state.history)
    np.testing.assert_array_equal(result.trial.weights, state.best_weights)
    np.testing.assert_array_equal(result.logits, mlp.logits(state.best_weights, PARAMS, splits.shape, splits.valid_x))
    np.testing.assert_array_equal(result.y, splits.valid_y)
    seeds = {fold_seed(seed, trial, fold) for seed in (0, 1) for trial in (0, 1) for fold in (0, 1)}
    assert len(seeds) == 8


def test_fold_of_a_training_that_fails_has_no_logits() -> None:
    rows = builtin_data().fold_rows
    splits = held_out(rows.splits, rows.draw(3), 0)
    params = replace(PARAMS, depth=1_000, width=1_000_000)
    result = run_fold(FoldTask(TrialTask(0, params, Recipe(2), 0, np.full(2, np.inf), "compiled", "cpu"), 0), splits)
    assert (result.trial.state, result.logits.shape) == ("failed", (0, 5))
    finalist = Finalist(0, (result,))
    assert not finalist.is_sound
    assert (finalist.objective, finalist.figures) == (np.inf, {"loss": np.inf, "accuracy": 0.0})
    assert chosen_finalist([finalist]) is None
    sound = a_finalist(9)
    assert chosen_finalist([finalist, sound]) is sound


def test_figures_are_those_of_scikit_learn_on_all_folds_together() -> None:
    finalist = a_finalist()
    hits = LOGITS.argmax(axis=1) == Y
    assert finalist.figures == pytest.approx({"loss": log_loss(Y, softmax(LOGITS)), "accuracy": hits.mean()}, rel=1e-6)
    assert finalist.objective == finalist.figures["loss"]


@pytest.mark.parametrize("metric", ["accuracy", "balanced-accuracy", "roc-auc"])
def test_objective_is_one_minus_the_metric(metric: Metric) -> None:
    finalist = a_finalist(metric=metric)
    expected = {
        "accuracy": (LOGITS.argmax(axis=1) == Y).mean(),
        "balanced-accuracy": balanced_accuracy_score(Y, LOGITS.argmax(axis=1)),
        "roc-auc": roc_auc_score(Y, softmax(LOGITS), multi_class="ovr"),
    }[metric]
    assert finalist.objective == pytest.approx(1 - expected, rel=1e-6)
    assert set(finalist.figures) == {"loss", "accuracy", metric.replace("-", "_")}


def test_balanced_loss_weighs_every_class_alike() -> None:
    y = np.array([0, 0, 0, 0, 0, 1], np.int32)
    logits = np.array([[1.0, 0.0]] * 6, np.float32)
    fold = FoldResult(a_result(0), 0, logits, y)
    right, wrong = -np.log(softmax(logits)[0])
    assert Finalist(0, (fold,), "balanced").figures["loss"] == pytest.approx((right + wrong) / 2, rel=1e-6)
    assert Finalist(0, (fold,)).figures["loss"] == pytest.approx((5 * right + wrong) / 6, rel=1e-6)


def test_chosen_finalist_has_the_lowest_objective_then_the_smaller_network_then_the_lower_number() -> None:
    better = LOGITS + np.eye(3, dtype=np.float32)[Y]
    worse, best, equal, larger = (
        a_finalist(number, logits, parameters=parameters)
        for number, logits, parameters in ((0, LOGITS, 1), (5, better, 4), (7, better, 4), (1, better, 9))
    )
    assert chosen_finalist([larger, worse, equal, best]) is best
