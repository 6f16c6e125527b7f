"""Parameters and losses of trials as places along axes."""

from __future__ import annotations

import numpy as np
import pytest

from insects.params import TrialParams
from insects.plots.comparison import slice_figure
from insects.plots.contour import contour_figure
from insects.plots.ticks import FLOOR
from insects.plots.trial_axes import best_trial, losses, varying_axes
from tests.support.plot_cases import texts
from tests.support.trial_cases import BOUNDS, a_trial, odd, trials


def test_the_best_is_the_complete_trial_with_the_lowest_loss() -> None:
    params = TrialParams(1, 8, 0.1, 4)
    results = [
        a_trial(0, params, 0.01, "pruned"),
        a_trial(1, params, np.inf),
        a_trial(3, params, 0.2),
        a_trial(2, params, 0.2),
    ]
    assert best_trial(results) == 3
    assert best_trial(results[:2]) is None


def test_axes_name_round_values_inside_their_ends() -> None:
    for count in (2, 3, 30, 400):
        for axis in varying_axes(trials(count), BOUNDS):
            places = [place for place, _ in axis.ticks]
            assert places
            assert axis.low <= min(places) <= max(places) <= axis.high
            assert len(places) <= 9
            assert (axis.shares(axis.spread(None)) >= 0).all()
            assert (axis.shares(axis.spread(None)) <= 1).all()
    (depth,) = [axis for axis in varying_axes(trials(30), BOUNDS) if axis.name == "depth"]
    assert [text for _, text in depth.ticks] == ["1", "2", "3", "4"]
    from_0 = varying_axes(trials(30), {**BOUNDS, "depth": (0, 4)})[0]
    assert [text for _, text in from_0.ticks] == ["0", "1", "2", "3", "4"]
    (rate,) = [axis for axis in varying_axes(trials(400), BOUNDS) if axis.name == "lr"]
    assert [text for _, text in rate.ticks] == ["0.0001", "0.001", "0.01", "0.1"]


def test_axes_span_the_searched_bounds_and_batch_sizes_are_logarithmic() -> None:
    results = [a_trial(n, TrialParams(2 + n, 64 + n, 0.01 + n / 1000, (16, 48)[n]), 0.5) for n in range(2)]
    depth, width, rate, batch = varying_axes(results, BOUNDS)
    assert (depth.low, depth.high) == pytest.approx((0.6, 4.4))
    assert (width.low, width.high) == pytest.approx((16 - 7.2, 256 + 7.2))
    assert (rate.low, rate.high) == pytest.approx((-4.09, -0.91))
    np.testing.assert_allclose(batch.at, np.log2([16, 48]))
    assert [text for _, text in batch.ticks] == ["4", "8", "16", "32", "48", "128"]
    wide = varying_axes([*results, a_trial(2, TrialParams(9, 300, 0.5, 512), 0.5)], BOUNDS)
    assert [axis.high for axis in wide] == pytest.approx([9.4, 308.52, -0.190, 9.56], abs=1e-3)


def test_trials_but_the_best_are_spread_by_less_than_a_twentieth_of_a_step() -> None:
    results = trials(30)
    best = best_trial(results)
    for axis in varying_axes(results, BOUNDS):
        moved = axis.spread(best) - axis.at
        assert best is not None
        assert moved[best] == 0
        assert np.abs(moved).max() <= 0.0375
        assert (np.abs(moved).max() > 0) == (axis.name in ("depth", "batch_size"))
    for figure in (slice_figure(results, BOUNDS), contour_figure(results, ["depth", "batch_size"], BOUNDS)):
        assert figure is not None
        assert any(text.endswith("depth and batch size are spread a little") for text in texts(figure))
        (ring,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
        assert np.asarray(ring.get_xdata()).tolist() == [results[best or 0].params.depth]


def test_loss_of_zero_has_a_place_on_a_logarithmic_axis() -> None:
    assert losses(odd("perfect")).tolist() == [FLOOR, 0.1]
