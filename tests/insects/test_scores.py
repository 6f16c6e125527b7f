"""Scores equal those of scikit-learn, ties and absent classes included."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from insects.scores import balanced_accuracy, roc_auc


def softmax(logits_NC: np.ndarray) -> np.ndarray:
    exp_NC = np.exp(logits_NC.astype(np.float64) - logits_NC.max(axis=1, keepdims=True))
    shares_NC: np.ndarray = exp_NC / exp_NC.sum(axis=1, keepdims=True)
    return shares_NC


def made_up(rows: int, classes: int, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are multiples of `step`, and classes of unequal size that they tell a little about."""
    generator = np.random.default_rng(rows + classes)
    y_N = np.minimum(generator.geometric(0.4, rows) - 1, classes - 1).astype(np.int32)
    y_N[:classes] = np.arange(classes)
    logits_NC = generator.normal(size=(rows, classes)) + np.eye(classes)[y_N]
    return ((logits_NC / step).round() * step).astype(np.float32), y_N


@pytest.mark.parametrize("step", [1, 1 / 8, 1e-7])
@pytest.mark.parametrize(("rows", "classes"), [(9, 2), (300, 2), (40, 3), (500, 7), (300, 20)])
def test_scores_equal_those_of_scikit_learn(rows: int, classes: int, step: float) -> None:
    logits_NC, y_N = made_up(rows, classes, step)
    expected = balanced_accuracy_score(y_N, logits_NC.argmax(axis=1))
    assert_allclose(balanced_accuracy(logits_NC, y_N), expected, rtol=1e-12)
    shares_NC = softmax(logits_NC).round(12)  # shares that are equal but for the order of a sum
    area = roc_auc_score(y_N, shares_NC[:, 1] if classes == 2 else _summing_to_1(shares_NC), multi_class="ovr")
    assert_allclose(roc_auc(logits_NC, y_N), area, rtol=1e-9)


def _summing_to_1(shares_NC: np.ndarray) -> np.ndarray:
    """scikit-learn refuses shares whose sums differ from 1 by more than 1e-8, which rounding does not do."""
    assert np.abs(shares_NC.sum(axis=1) - 1).max() < 1e-9
    return shares_NC


def test_area_is_1_for_rows_in_order_and_a_half_for_equal_ones() -> None:
    y_N = np.array([0, 0, 1, 1, 2, 2], np.int32)
    assert roc_auc(10 * np.eye(3, dtype=np.float32)[y_N], y_N) == 1
    assert roc_auc(np.zeros((6, 3), np.float32), y_N) == 0.5
    assert roc_auc(-np.eye(3, dtype=np.float32)[y_N], y_N) == 0


@pytest.mark.parametrize("classes", [2, 4])
def test_area_tells_rows_apart_whose_probabilities_round_to_1(classes: int) -> None:
    logits_NC = np.zeros((4, classes), np.float32)
    logits_NC[:, 1] = [60, 80, 100, 120]
    y_N = np.array([0, 0, 1, 1], np.int32)
    assert set(softmax(logits_NC)[:, 1].tolist()) == {1.0}
    assert roc_auc(logits_NC, y_N) == 1


def test_classes_without_rows_do_not_count() -> None:
    logits_NC = np.array([[2, 0, 1], [0, 1, 0], [1, 0, 3]], np.float32)
    y_N = np.array([0, 1, 1], np.int32)
    assert balanced_accuracy(logits_NC, y_N) == (1 + 1 / 2) / 2
    assert roc_auc(logits_NC, y_N) == (1 + 1 / 2) / 2  # of class 1, row 0 has better odds than row 2
    assert np.isnan(roc_auc(logits_NC, np.zeros(3, np.int32)))
