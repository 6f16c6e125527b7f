"""Baselines: equal to scikit-learn's models, for any number of threads and for awkward rows, without warnings."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from threadpoolctl import threadpool_info, threadpool_limits  # type: ignore[import-untyped] # it ships no types

from insects.baselines import (
    BASELINES,
    MOST_ROWS,
    BaselineName,
    Score,
    baseline_probabilities,
    baseline_scores,
    quick_baselines,
    rows_used,
    score,
)
from insects.mlp import Floats
from insects.splits import Labels
from tests.support.studies import builtin_data

FITTED = BASELINES[1:]


def blobs(rows: int, inputs: int = 2, classes: int = 3, seed: int = 0) -> tuple[Floats, Labels]:
    """Rows around one centre for each class."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, classes, rows).astype(np.int32)
    centres = 2 * np.random.default_rng(99).normal(size=(classes, inputs))
    return (centres[y] + generator.normal(size=(rows, inputs))).astype(np.float32), y


def test_majority_predicts_the_shares_of_the_training_rows() -> None:
    y = np.array([2, 2, 0, 2], np.int32)
    probability = baseline_probabilities("majority", np.zeros((4, 1), np.float32), y, np.ones((2, 1), np.float32), 4)
    np.testing.assert_array_equal(probability, [[0.25, 0, 0.75, 0]] * 2)
    assert probability.dtype == np.float64
    found = score("majority", probability, np.array([2, 0]))
    assert found == Score("majority", 0.5, found.loss)
    assert found.loss == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("logistic regression", LogisticRegression(max_iter=1000)),
        ("gradient boosting", HistGradientBoostingClassifier(random_state=0)),
    ],
)
def test_fitted_baselines_equal_scikit_learns(name: BaselineName, model: Any) -> None:
    (train_x, train_y), (x, y) = blobs(200), blobs(50, seed=1)
    with threadpool_limits(limits=1):  # threads of OpenMP that wait for a busy processor take seconds
        expected = model.fit(train_x.astype(np.float64), train_y).predict_proba(x.astype(np.float64))
    probability = baseline_probabilities(name, train_x, train_y, x, 3)
    np.testing.assert_allclose(probability, expected, rtol=1e-9)
    found = score(name, probability, y)
    assert found.accuracy == accuracy_score(y, expected.argmax(axis=1))
    assert found.loss == pytest.approx(log_loss(y, expected, labels=[0, 1, 2]))


@pytest.mark.parametrize("name", FITTED)
def test_a_fit_runs_in_one_thread_and_does_not_depend_on_how_many_there_are(
    name: BaselineName, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_x, train_y = blobs(300)
    model = LogisticRegression if name == "logistic regression" else HistGradientBoostingClassifier
    fit, threads = model.fit, []

    def recorded(self: Any, x: Any, y: Any) -> Any:
        threads.append({pool["num_threads"] for pool in threadpool_info()})
        return fit(self, x, y)

    monkeypatch.setattr(model, "fit", recorded)
    with threadpool_limits(limits=2):
        two = baseline_probabilities(name, train_x, train_y, train_x, 3)
    with threadpool_limits(limits=1):
        one = baseline_probabilities(name, train_x, train_y, train_x, 3)
    np.testing.assert_array_equal(one, two)
    assert threads == [{1}, {1}]


@pytest.mark.parametrize("name", BASELINES)
def test_class_without_training_rows_gets_a_column_of_zeros(name: BaselineName) -> None:
    train_x, train_y = blobs(100, classes=2)
    probability = baseline_probabilities(name, train_x, 2 * train_y, train_x, 4)
    np.testing.assert_array_equal(probability[:, [1, 3]], 0)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    two = baseline_probabilities(name, train_x, train_y, train_x, 2)
    np.testing.assert_array_equal(probability[:, [0, 2]], two)


@pytest.mark.parametrize("name", BASELINES)
def test_training_rows_of_one_class_make_that_class_certain(name: BaselineName) -> None:
    x, y = np.ones((5, 2), np.float32), np.full(5, 1, np.int32)
    np.testing.assert_array_equal(baseline_probabilities(name, x, y, x[:2], 3), [[0, 1, 0]] * 2)


@pytest.mark.parametrize("name", FITTED)
def test_one_input_and_constant_columns_are_learnt_from(name: BaselineName) -> None:
    train_x, train_y = blobs(200, inputs=1, classes=2)
    alone = baseline_probabilities(name, train_x, train_y, train_x, 2)
    assert score(name, alone, train_y).accuracy > np.bincount(train_y).max() / 200
    constant = np.zeros((200, 1), np.float32)
    both = baseline_probabilities(name, np.hstack([train_x, constant]), train_y, np.hstack([train_x, constant]), 2)
    np.testing.assert_allclose(both, alone, atol=1e-4)
    nothing = baseline_probabilities(name, constant, train_y, constant, 2)
    np.testing.assert_allclose(nothing, np.tile(np.bincount(train_y) / 200, (200, 1)), atol=1e-3)


@pytest.mark.parametrize("name", FITTED)
def test_rows_far_away_and_a_regression_that_does_not_converge_warn_of_nothing(name: BaselineName) -> None:
    train_x, train_y = blobs(100)
    train_x[0] = 1e30
    x = np.array([[np.inf, -np.inf], [np.nan, 3e38]], np.float32)
    probability = baseline_probabilities(name, train_x, train_y, x, 3)  # a warning is an error in these tests
    assert np.isfinite(probability).all()
    np.testing.assert_allclose(probability.sum(axis=1), 1)


@pytest.mark.parametrize("name", BASELINES)
def test_only_the_first_rows_of_a_large_table_are_used(name: BaselineName) -> None:
    train_x, train_y = blobs(MOST_ROWS + 10, classes=2)
    other = train_y.copy()
    other[MOST_ROWS:] = 2  # a class that would be fitted
    cut, whole = (baseline_probabilities(name, train_x, y, train_x[:20], 3) for y in (train_y, other))
    np.testing.assert_array_equal(cut, whole)
    np.testing.assert_array_equal(whole[:, 2], 0)
    one_less = baseline_probabilities(name, train_x[: MOST_ROWS - 1], train_y[: MOST_ROWS - 1], train_x[:20], 3)
    assert not np.array_equal(one_less, whole)


def test_fewer_rows_are_used_if_they_are_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows_used(50, 3072) == 50
    assert rows_used(30_000, 2) == 20_000
    assert rows_used(30_000, 2000) == 5_000
    assert rows_used(30_000, 100_000_000) == 1
    (train_x, train_y), (x, _) = blobs(60), blobs(70, seed=1)
    expected = baseline_probabilities("logistic regression", train_x[:40], train_y[:40], x, 3)
    monkeypatch.setattr("insects.baselines.MOST_NUMBERS", 80)  # 40 rows of 2 inputs, to fit and to predict at a time
    found = baseline_probabilities("logistic regression", train_x, train_y, x, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("name", BASELINES)
def test_no_rows_have_no_probabilities(name: BaselineName) -> None:
    train_x, train_y = blobs(60)
    assert baseline_probabilities(name, train_x, train_y, train_x[:0], 3).shape == (0, 3)


def test_class_of_one_row_among_more_than_ten_thousand_is_fitted() -> None:
    train_x, train_y = blobs(10_001, classes=2)
    train_y[0] = 2
    probability = baseline_probabilities("gradient boosting", train_x, train_y, train_x[:20], 3)
    model = HistGradientBoostingClassifier(random_state=0, early_stopping=False)
    with threadpool_limits(limits=1):
        expected = model.fit(train_x.astype(np.float64), train_y).predict_proba(train_x[:20].astype(np.float64))
    np.testing.assert_allclose(probability, expected, rtol=1e-9)


def test_scores_of_the_built_in_table_say_that_no_line_divides_a_spiral() -> None:
    splits, test = builtin_data().splits, builtin_data().test
    scores = baseline_scores(splits.train_x, splits.train_y, splits.encoder.transform(test.x), test.y, 5)
    assert [entry.name for entry in scores] == list(BASELINES)
    majority, regression, boosting = scores
    assert majority.accuracy == np.mean(test.y == np.bincount(splits.train_y).argmax())
    assert regression.accuracy < 0.5 < 0.9 < boosting.accuracy
    assert boosting.loss < regression.loss < majority.loss
    assert scores[0].as_dict() == {"name": "majority", "accuracy": majority.accuracy, "loss": majority.loss}


def test_certain_and_wrong_costs_what_the_clipped_probability_does() -> None:
    wrong = score("model", np.array([[1.0, 0.0]]), np.array([1]))
    assert wrong.accuracy == 0
    assert wrong.loss == pytest.approx(-np.log(1e-15))
    right = score("model", np.array([[1.0, 0.0]]), np.array([0]))
    assert right.accuracy == 1
    assert right.loss == pytest.approx(1e-15, rel=0.2)


def test_equal_probabilities_predict_the_lower_class() -> None:
    assert score("model", np.full((2, 2), 0.5), np.array([0, 1])).accuracy == 0.5


def test_gradient_boosting_of_many_inputs_and_classes_is_not_quick() -> None:
    assert quick_baselines(100, 10) == BASELINES
    assert quick_baselines(101, 10) == ("majority", "logistic regression")
    assert quick_baselines(1000, 2) == BASELINES  # one tree for two classes
    assert quick_baselines(1001, 2) == ("majority", "logistic regression")


@pytest.mark.parametrize(
    ("rows", "labels", "inputs", "message"),
    [
        (0, [], 2, "needs training rows"),
        (2, [0], 2, "as many classes as rows"),
        (2, [0, 1], 3, "rows of as many inputs"),
        (2, [0, 3], 2, r"in \[0, 3\), found 0 to 3"),
        (2, [-1, 0], 2, "found -1 to 0"),
    ],
)
def test_inconsistent_arrays_are_refused(rows: int, labels: list[int], inputs: int, message: str) -> None:
    train_x, x = np.zeros((rows, 2), np.float32), np.zeros((1, inputs), np.float32)
    with pytest.raises(ValueError, match=message):
        baseline_probabilities("majority", train_x, np.array(labels, np.int32), x, 3)


@pytest.mark.parametrize("rows", [0, 2])
def test_score_of_no_rows_or_of_other_rows_is_refused(rows: int) -> None:
    with pytest.raises(ValueError, match="needs rows, as many as classes"):
        score("model", np.full((rows, 2), 0.5), np.zeros(0, np.int32))


def test_importing_the_module_and_the_majority_load_no_scikit_learn() -> None:
    script = """
import sys, numpy as np
from insects.baselines import baseline_probabilities
baseline_probabilities("majority", np.zeros((1, 1), np.float32), np.zeros(1, np.int32), np.zeros((1, 1), np.float32), 2)
print("sklearn" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
