"""Scalings of numbers against formulas worked out by hand and scikit-learn's transformers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import ndtri
from sklearn.preprocessing import QuantileTransformer, RobustScaler

from insects.scaling import KINDS, PiecewiseLinear, Quantile, Robust

ROWS = np.random.default_rng(0).lognormal(0, 1, (3000, 2)).astype(np.float32)
LABELS = (ROWS[:, 0] > 1).astype(int)


def test_robust_is_a_smooth_clip_of_the_distance_from_the_median() -> None:
    x = np.array([[0], [1], [2], [3], [100]], np.float32)  # quartiles 1 and 3, median 2
    z = (x - 2) / 2
    expected: np.ndarray = z / np.sqrt(1 + (z / 3) ** 2)
    assert_allclose(Robust.fit(x, np.zeros(5, int)).transform(x), expected, rtol=1e-6)


def test_robust_is_that_of_scikit_learn_before_the_clip() -> None:
    ours, theirs = Robust.fit(ROWS, LABELS), RobustScaler().fit(ROWS.astype(np.float64))
    assert_allclose(ours.centre, theirs.center_, rtol=1e-6)
    assert_allclose(1 / ours.factor, theirs.scale_, rtol=1e-6)
    z = theirs.transform(ROWS.astype(np.float64))
    assert_allclose(ours.transform(ROWS), z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-4, atol=1e-6)
    assert abs(ours.transform(np.array([[1e30, -1e30]], np.float32))).tolist() == [[3, 3]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([5, 5, 5, 5, 9], 2 / 4), ([5, 5, 5, 5, 5], 0.0)],
    ids=["equal quartiles", "constant"],
)
def test_robust_of_equal_quartiles_uses_the_range(values: list[float], expected: float) -> None:
    assert Robust.fit(np.array(values, np.float32)[:, None], np.zeros(5, int)).factor.tolist() == [expected]


def test_quantile_equals_that_of_scikit_learn_within_the_training_rows() -> None:
    ours = Quantile.fit(ROWS, LABELS)
    knots = min(len(ROWS) // 30, 1000)
    theirs = QuantileTransformer(n_quantiles=knots, output_distribution="normal", subsample=None).fit(ROWS)
    inner = np.quantile(ROWS, np.linspace(0.02, 0.98, 50), axis=0).astype(np.float32)
    assert_allclose(ours.transform(inner), theirs.transform(inner), atol=5e-3)


def test_quantile_gives_values_beyond_the_training_rows_the_outermost_deviate() -> None:
    ours = Quantile.fit(ROWS, LABELS)
    outer = ours.transform(np.array([[-1e30, 1e30]], np.float32))
    assert_allclose(outer, [[ndtri(ours.tail), ndtri(1 - ours.tail)]], rtol=1e-5)


def test_piecewise_linear_fills_the_bins_up_to_the_value() -> None:
    scaling = PiecewiseLinear(((0.0, 1.0, 3.0), (0.0, 10.0)))
    inputs = scaling.transform(np.array([[0.5, 5], [2, 10], [4, -10], [-1, 0]], np.float32))
    # Only the first bin goes below 0 and only the last one above 1.
    assert inputs.tolist() == [[0.5, 0, 0.5], [1, 0.5, 1], [1, 1.5, -1], [-1, 0, 0]]
    assert len(scaling.names(["a", "b"])) == 3


def test_edges_of_bins_are_where_a_tree_splits_the_classes() -> None:
    scaling = PiecewiseLinear.fit(ROWS, LABELS)
    first, _ = scaling.edges
    assert min(abs(np.array(first) - 1)) < 0.01
    assert (first[0], first[-1]) == (ROWS[:, 0].min(), ROWS[:, 0].max())
    assert len(first) == 3  # one split tells the classes apart


@pytest.mark.parametrize("value", [0, 7, -3, 1e30, 3.4028235e38, -3.4028235e38])
def test_bin_of_a_single_value_is_as_wide_as_a_standard_deviation_would_be(value: float) -> None:
    scaling = PiecewiseLinear.fit(np.full((30, 1), value, np.float32), LABELS[:30])
    ((left, right),) = scaling.edges
    assert left <= np.float32(value) <= right
    assert np.isfinite(scaling.width).all()
    if abs(value) < 10:
        assert scaling.transform(np.array([[value], [value + 2]], np.float32)).tolist() == [[0], [2]]


@pytest.mark.parametrize("name", KINDS)
def test_order_of_values_is_kept(name: str) -> None:
    scaling = KINDS[name].fit(ROWS, LABELS)
    values = np.sort(ROWS[:200], axis=0)
    inputs = scaling.transform(values)
    assert inputs.dtype == np.float32
    assert (np.diff(inputs, axis=0) >= 0).all()
