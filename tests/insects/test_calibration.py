"""Calibration: bins and expected calibration error, worked by hand and equal to scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax as scipys_softmax
from sklearn.calibration import calibration_curve

from insects.calibration import BINS, calibrate, softmax


def random_rows(classes: int, rows: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and classes."""
    generator = np.random.default_rng(classes)
    return softmax(2 * generator.normal(size=(rows, classes))), generator.integers(0, classes, rows)


def test_softmax_equals_scipys_and_does_not_overflow() -> None:
    logits = 100 * np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    np.testing.assert_allclose(softmax(logits), scipys_softmax(logits.astype(np.float64), axis=1), rtol=1e-12)
    np.testing.assert_array_equal(softmax(np.array([[5000.0, 0.0]])), [[1, 0]])
    assert np.isnan(softmax(np.array([[np.inf, 0.0]]))).any()


def test_error_worked_by_hand_is_that_of_eq_3() -> None:
    # Two rows of confidence 0.9 in bin 13 of which one is right, and one row of 0.6 in bin 8 that is right.
    found = calibrate(np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]]), np.array([0, 1, 1]))
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0]
    assert found.error == pytest.approx(2 / 3 * abs(0.5 - 0.9) + 1 / 3 * abs(1 - 0.6))
    assert found.confidence == pytest.approx(0.8)
    assert found.accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize("classes", [2, 5])
def test_bins_equal_scikit_learns(classes: int) -> None:
    probability, y = random_rows(classes)
    found = calibrate(probability, y)
    confidence, correct = probability.max(axis=1), probability.argmax(axis=1) == y
    accuracy_of_bins, confidence_of_bins = calibration_curve(correct, confidence, n_bins=BINS)
    filled = found.counts > 0
    np.testing.assert_allclose(found.accuracies[filled], accuracy_of_bins)
    np.testing.assert_allclose(found.confidences[filled], confidence_of_bins)
    assert found.counts.sum() == 500
    assert found.confidence == pytest.approx(confidence.mean())
    assert found.accuracy == pytest.approx(correct.mean())


def test_confidence_on_an_edge_is_in_the_lower_bin_and_certainty_in_the_last() -> None:
    edge = np.linspace(0, 1, BINS + 1)[9]
    found = calibrate(np.array([[edge, 1 - edge], [1.0, 0.0]]), np.array([0, 0]))
    assert np.flatnonzero(found.counts).tolist() == [8, 14]


def test_certain_and_right_has_no_error_and_certain_and_wrong_the_largest() -> None:
    certain = np.eye(2)[[0, 1, 0]]
    assert calibrate(certain, np.array([0, 1, 0])).error == 0
    assert calibrate(certain, np.array([1, 0, 1])).error == 1


@pytest.mark.parametrize("rows", [0, 2])
def test_no_rows_or_other_rows_are_refused(rows: int) -> None:
    with pytest.raises(ValueError, match="needs rows, as many as classes"):
        calibrate(np.full((rows, 2), 0.5), np.zeros(0, int))
