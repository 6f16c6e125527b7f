"""Figures that compare trials: what is drawn where, and that no study is too odd for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from insects.params import TrialParams
from insects.plots import figure_png
from insects.plots.comparison import LINES, contour_figure, importance_figure, parallel_figure, slice_figure
from insects.plots.ticks import FLOOR
from insects.plots.trial_axes import LABELS, best_trial, losses, varying_axes
from insects.training import METRICS
from insects.trial import TrialResult, TrialState
from tests.insects.plot_cases import decoded, texts

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


@pytest.mark.parametrize("kind", ["one", "two", "equal", "all failed", "all diverged", "perfect", "huge", "mixed"])
def test_any_study_is_drawn_as_far_as_it_goes(kind: str) -> None:
    results = odd(kind)
    drawable = kind not in ("one", "all failed", "all diverged")
    for figure in (slice_figure(results), parallel_figure(results)):
        assert (figure is not None) == drawable
        assert figure is None or decoded(figure_png(figure)).shape == (500, 700, 3)
    contour = contour_figure(results, NAMES)
    assert (contour is not None) == (kind in ("huge", "mixed"))
    assert contour is None or decoded(figure_png(contour)).std() > 5


def test_slices_show_each_parameter_that_varies_against_the_loss() -> None:
    results = trials(30, fixed=["depth"])
    figure = slice_figure(results)
    assert figure is not None
    assert [axes.get_xlabel() for axes in figure.axes] == [LABELS[n] for n in ("width", "lr", "batch_size")]
    np.testing.assert_allclose(offsets(figure)[:, 0], [result.params.width for result in results])
    np.testing.assert_allclose(offsets(figure)[:, 1], losses(results))
    np.testing.assert_allclose(10 ** offsets(figure, 1)[:, 0], [result.params.lr for result in results])
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    assert "lowest validation loss (nats)" in texts(figure)


def test_trials_without_a_finite_loss_are_crosses_at_the_upper_edge() -> None:
    figure = slice_figure(odd("mixed"))
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
    figure = parallel_figure(results)
    assert figure is not None
    (collection,) = figure.axes[0].findobj(LineCollection)
    ends = np.array([line[-1, 1] for line in collection.get_segments()])
    assert (np.diff(ends) <= 0).all()  # worst first: the best are on top
    (best,) = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert np.asarray(best.get_ydata())[-1] == ends.min()
    assert "all 20 trials, darker is better; orange: the best" in texts(figure)


def test_of_thousands_of_trials_some_are_drawn_as_lines_and_it_is_said() -> None:
    results = trials(3000)
    figure = parallel_figure(results)
    assert figure is not None
    (collection,) = figure.axes[0].findobj(LineCollection)
    assert len(collection.get_segments()) == LINES
    assert any(text.startswith("500 of 3,000 trials") for text in texts(figure))


def test_contour_takes_the_first_two_parameters_that_vary_and_is_darkest_where_the_loss_is_lowest() -> None:
    results = trials(200, fixed=["width"])
    figure = contour_figure(results, NAMES)
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
        for axis in varying_axes(trials(count)):
            places = [place for place, _ in axis.ticks]
            assert places
            assert axis.low <= min(places) <= max(places) <= axis.high
            assert len(places) <= 9
            assert (axis.shares(axis.spread()) >= 0).all()
            assert (axis.shares(axis.spread()) <= 1).all()
    (depth,) = [axis for axis in varying_axes(trials(30)) if axis.name == "depth"]
    assert [text for _, text in depth.ticks] == ["1", "2", "3", "4"]
    (rate,) = [axis for axis in varying_axes(trials(400)) if axis.name == "lr"]
    assert [text for _, text in rate.ticks] == ["0.0001", "0.001", "0.01", "0.1"]


def test_loss_of_zero_has_a_place_on_a_logarithmic_axis() -> None:
    assert losses(odd("perfect")).tolist() == [FLOOR, 0.1]
