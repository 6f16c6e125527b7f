"""Figures that compare trials: what is drawn where, and that no study is too odd for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from numpy.typing import NDArray

from insects.params import TrialParams
from insects.plots import figure_png
from insects.plots.comparison import LINES, importance_figure, parallel_figure, slice_figure
from insects.plots.contour import contour_figure
from insects.plots.ticks import FLOOR
from insects.plots.trial_axes import LABELS, best_trial, losses, varying_axes
from insects.training import METRICS
from insects.trial import TrialResult, TrialState
from tests.support.plot_cases import decoded, texts

BOUNDS = {"depth": (1, 4), "width": (16, 256), "lr": (1e-4, 1e-1), "batch_size": (4, 8, 16, 32, 64, 128)}
NAMES = ["lr", "width", "depth", "batch_size"]


def a_trial(number: int, params: TrialParams, loss: float, state: TrialState = "complete") -> TrialResult:
    history = np.full((0 if state == "failed" else 2, len(METRICS)), 0.5)
    history[:, METRICS.index("valid_loss")] = loss
    best_epoch = 1 if len(history) and np.isfinite(loss) else 0
    return TrialResult(number, params, state, "", history, best_epoch, np.empty(0, np.float32), 1.7e9, 0.1)


def trials(count: int, fixed: Sequence[str] = ()) -> list[TrialResult]:
    """Trials whose loss is lowest at a learning rate of 0.01."""
    generator = np.random.default_rng(count)
    found = []
    for number in range(count):
        params = {
            "depth": int(generator.integers(1, 5)),
            "width": int(generator.integers(16, 257)),
            "lr": float(10 ** generator.uniform(-4, -1)),
            "batch_size": int(2 ** generator.integers(2, 8)),
        }
        params |= {name: {"depth": 2, "width": 64, "lr": 0.01, "batch_size": 32}[name] for name in fixed}
        chosen = TrialParams(**params)  # type: ignore[arg-type]
        found.append(a_trial(number, chosen, 0.05 * float(np.exp(abs(np.log10(chosen.lr) + 2)))))
    return found


def odd(kind: str) -> list[TrialResult]:
    one, other = (TrialParams(depth, 64, 0.01 * depth, 32) for depth in (1, 2))
    many = trials(12)
    return {
        "one": [a_trial(0, one, 0.5)],
        "two": [a_trial(0, one, 0.5), a_trial(1, other, 0.4)],
        "equal": [a_trial(0, one, 0.5), a_trial(1, other, 0.5)],
        "all failed": [a_trial(0, one, 0.5, "failed"), a_trial(1, other, 0.5, "failed")],
        "all diverged": [a_trial(0, one, np.inf), a_trial(1, other, np.inf)],
        "perfect": [a_trial(0, one, 0.0), a_trial(1, other, 0.1)],
        "huge": [*many, a_trial(12, one, 1e30)],
        "mixed": [*many, a_trial(12, one, np.inf), a_trial(13, one, 0.7, "pruned"), a_trial(14, one, 1, "failed")],
    }[kind]


def offsets(figure: Figure, panel: int = 0) -> NDArray[np.float64]:
    (collection,) = figure.axes[panel].findobj(PathCollection)
    assert isinstance(collection, PathCollection)
    return np.asarray(collection.get_offsets())


def points(figure: Figure) -> NDArray[np.float64]:
    """Of the trials in a figure that may hold a surface too."""
    (collection,) = [found for found in figure.axes[0].collections if type(found) is PathCollection]
    return np.asarray(collection.get_offsets())


@pytest.mark.parametrize("kind", ["one", "two", "equal", "all failed", "all diverged", "perfect", "huge", "mixed"])
def test_any_study_is_drawn_as_far_as_it_goes(kind: str) -> None:
    results = odd(kind)
    drawable = kind not in ("one", "all failed", "all diverged")
    for figure in (slice_figure(results, BOUNDS), parallel_figure(results, BOUNDS)):
        assert (figure is not None) == drawable
        assert figure is None or decoded(figure_png(figure)).shape == (500, 700, 3)
    contour = contour_figure(results, NAMES, BOUNDS)
    assert (contour is not None) == (kind in ("huge", "mixed"))
    assert contour is None or decoded(figure_png(contour)).std() > 5


def test_slices_show_each_parameter_that_varies_against_the_loss() -> None:
    results = trials(30, fixed=["depth"])
    figure = slice_figure(results, BOUNDS)
    assert figure is not None
    assert [axes.get_xlabel() for axes in figure.axes] == [LABELS[n] for n in ("width", "lr", "batch_size")]
    np.testing.assert_allclose(offsets(figure)[:, 0], [result.params.width for result in results])
    np.testing.assert_allclose(offsets(figure)[:, 1], losses(results))
    np.testing.assert_allclose(10 ** offsets(figure, 1)[:, 0], [result.params.lr for result in results])
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    assert "lowest validation loss (nats)" in texts(figure)


def test_trials_without_a_finite_loss_are_crosses_at_the_upper_edge() -> None:
    figure = slice_figure(odd("mixed"), BOUNDS)
    assert figure is not None
    (crosses,) = [line for line in figure.axes[0].lines if line.get_marker() == "X"]
    assert len(crosses.get_xdata()) == 2  # type: ignore[arg-type]
    assert set(np.asarray(crosses.get_ydata()).tolist()) == {figure.axes[0].get_ylim()[1]}
    assert any("crosses: no finite loss" in text for text in texts(figure))


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


def test_parallel_lines_end_at_the_loss_and_the_best_is_marked() -> None:
    results = trials(20)
    figure = parallel_figure(results, BOUNDS)
    assert figure is not None
    (collection,) = figure.axes[0].findobj(LineCollection)
    ends = np.array([line[-1, 1] for line in collection.get_segments()])
    assert (np.diff(ends) <= 0).all()  # worst first: the best are on top
    (best,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert np.asarray(best.get_ydata())[-1] == ends.min()
    assert "all 20 trials, darker is better; orange: the best; depth and batch size are spread a little" in texts(
        figure
    )


def test_of_thousands_of_trials_some_are_drawn_as_lines_and_it_is_said() -> None:
    results = trials(3000)
    figure = parallel_figure(results, BOUNDS)
    assert figure is not None
    (collection,) = figure.axes[0].findobj(LineCollection)
    assert len(collection.get_segments()) == LINES
    assert any(text.startswith("500 of 3,000 trials") for text in texts(figure))


def test_contour_takes_the_first_two_parameters_that_vary_and_is_darkest_where_the_loss_is_lowest() -> None:
    results = trials(200, fixed=["width"])
    figure = contour_figure(results, NAMES, BOUNDS)
    assert figure is not None
    assert (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()) == (LABELS["lr"], LABELS["depth"])
    pixels = decoded(figure_png(figure))
    left, low, width, height = figure.axes[0].get_position().bounds
    inside = pixels[
        round(500 * (1 - low - height)) : round(500 * (1 - low)), round(700 * left) : round(700 * (left + width))
    ]
    brightness = np.median(inside.sum(axis=2), axis=0)
    limits = figure.axes[0].get_xlim()
    at_best = round((-2 - limits[0]) / (limits[1] - limits[0]) * len(brightness))
    assert brightness[at_best] < min(brightness[5], brightness[-6])


def test_importances_are_named_in_per_cent_and_few_trials_called_few() -> None:
    figure = importance_figure({"lr": 0.75, "batch_size": 0.25}, 30, 0.1)
    assert {"learning rate", "batch size", "75 %", "25 %"} <= set(texts(figure))
    assert any("30 trials: few" in text for text in texts(figure))
    many = importance_figure({"lr": 1.0}, 50, 0.1)
    assert not any("few" in text for text in texts(many))
    assert decoded(figure_png(many)).shape == (500, 700, 3)


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
    (rate,) = [axis for axis in varying_axes(trials(400), BOUNDS) if axis.name == "lr"]
    assert [text for _, text in rate.ticks] == ["0.0001", "0.001", "0.01", "0.1"]


def test_axes_are_of_what_was_searched_and_batch_sizes_stand_by_their_logarithm() -> None:
    results = [a_trial(n, TrialParams(2 + n, 64 + n, 0.01 + n / 1000, (16, 48)[n]), 0.5) for n in range(2)]
    depth, width, rate, batch = varying_axes(results, BOUNDS)
    assert (depth.low, depth.high) == pytest.approx((0.6, 4.4))
    assert (width.low, width.high) == pytest.approx((16 - 7.2, 256 + 7.2))
    assert (rate.low, rate.high) == pytest.approx((-4.09, -0.91))
    np.testing.assert_allclose(batch.at, np.log2([16, 48]))
    assert [text for _, text in batch.ticks] == ["4", "8", "16", "32", "48", "128"]
    wide = varying_axes([*results, a_trial(2, TrialParams(9, 300, 0.5, 512), 0.5)], BOUNDS)
    assert [axis.high for axis in wide] == pytest.approx([9.4, 308.52, -0.190, 9.56], abs=1e-3)


def test_only_the_best_trial_is_not_spread_and_the_others_less_than_a_twentieth_of_a_step() -> None:
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


def test_few_trials_are_points_without_a_surface() -> None:
    for count, surfaces in ((11, 0), (12, 1)):
        figure = contour_figure(trials(count), NAMES, BOUNDS)
        assert figure is not None
        assert len(figure.axes[0].findobj(ContourSet)) == surfaces
        assert len(points(figure)) == count
        assert any(text.startswith("too few trials to smooth") for text in texts(figure)) == (not surfaces)


def test_colour_bar_has_two_ticks_at_least_and_an_arrow_where_losses_lie_beyond() -> None:
    equal = [replace(result, history=np.full_like(result.history, 0.6)) for result in trials(20)]
    for results, beyond in ((trials(20), True), (equal, False)):
        figure = contour_figure(results, NAMES, BOUNDS)
        assert figure is not None
        bar = figure.axes[1]
        low, high = bar.get_ylim()
        assert sum(low <= tick <= high for tick in bar.get_yticks()) >= 2
        assert len(bar.get_yticks()) == len([text for text in bar.get_yticklabels() if text.get_text()])
        pixels = decoded(figure_png(figure))
        assert bool((pixels[74, 597] == 255).all()) == beyond  # the upper left corner is free beside an arrow's tip


def test_loss_of_zero_has_a_place_on_a_logarithmic_axis() -> None:
    assert losses(odd("perfect")).tolist() == [FLOOR, 0.1]
