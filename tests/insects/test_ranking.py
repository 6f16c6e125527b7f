"""ROC and precision-recall curves: equal to scikit-learn's, with ties."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from insects.evaluation import evaluate
from insects.ranking import ranking_curve


def scored(rows: int = 200, decimals: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Scores and whether each row is positive; few decimals make ties."""
    generator = np.random.default_rng(rows)
    positive = generator.random(rows) < 0.3
    return (positive + generator.normal(size=rows)).round(decimals), positive


@pytest.mark.parametrize("decimals", [16, 1, 0])
def test_curves_equal_scikit_learns(decimals: int) -> None:
    score, positive = scored(decimals=decimals)
    curve = ranking_curve(score, positive)
    false, true, _ = roc_curve(positive, score, drop_intermediate=False)
    np.testing.assert_allclose(curve.roc, (false, true))
    assert curve.area == pytest.approx(roc_auc_score(positive, score))
    precision, recall, _ = precision_recall_curve(positive, score)
    np.testing.assert_allclose(curve.precision_recall, (precision[::-1], recall[::-1]))
    assert curve.average_precision == pytest.approx(average_precision_score(positive, score))


def test_scores_that_are_all_equal_rank_nothing() -> None:
    curve = ranking_curve(np.zeros(4), np.array([True, False, False, False]))
    np.testing.assert_array_equal(curve.roc, [[0, 1], [0, 1]])
    assert (curve.area, curve.average_precision) == (0.5, 0.25)


def area(probability: np.ndarray, *y: int) -> float | None:
    return evaluate(np.log(probability), np.array(y), ("a", "b", "c")[: probability.shape[1]]).roc_auc


def test_area_of_many_classes_is_the_mean_of_each_against_the_others() -> None:
    probability = np.array([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.2, 0.3, 0.5]])
    y = 0, 1, 2, 2
    # Class 0: row 0 is above rows 2 and 3, below row 1. Class 1: a tie with rows 0 and 3, above 2. Class 2: no error.
    assert area(probability, *y) == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert area(probability, *y) == pytest.approx(roc_auc_score(y, probability, multi_class="ovr"))


def test_area_of_two_classes_is_that_of_the_second() -> None:
    probability = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert area(probability, 0, 1, 1) == 1
    assert area(probability, 1, 0, 0) == 0


def test_absent_class_leaves_no_area() -> None:
    assert area(np.full((2, 3), 1 / 3), 0, 1) is None
    assert area(np.full((2, 2), 1 / 2), 1, 1) is None


@pytest.mark.parametrize("positive", [True, False])
def test_rows_of_one_kind_cannot_be_ranked(positive: bool) -> None:
    with pytest.raises(ValueError, match="needs positive and negative rows"):
        ranking_curve(np.arange(3.0), np.full(3, positive))
