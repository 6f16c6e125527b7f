"""Figures that compare the trials of a study: slices, parallel coordinates and importances."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from insects.objective import metric_name
from insects.params import Metric
from insects.plots import figure_png
from insects.plots.comparison import LINES, importance_figure, parallel_figure, slice_figure
from insects.plots.contour import contour_figure
from insects.plots.trial_axes import LABELS, losses
from tests.support.plot_cases import colliding_texts, decoded, texts
from tests.support.trial_cases import BOUNDS, NAMES, a_trial, odd, trials


def offsets(figure: Figure, panel: int = 0) -> NDArray[np.float64]:
    (collection,) = figure.axes[panel].findobj(PathCollection)
    assert isinstance(collection, PathCollection)
    return np.asarray(collection.get_offsets())


@pytest.mark.parametrize("kind", ["one", "two", "equal", "all failed", "all diverged", "perfect", "huge", "mixed"])
def test_figures_are_drawn_or_left_out_for_any_study(kind: str) -> None:
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


@pytest.mark.parametrize("metric", ["accuracy", "balanced-accuracy", "roc-auc"])
def test_figures_of_another_metric_show_and_name_its_objective(metric: Metric) -> None:
    results = trials(30, metric=metric)
    slices, parallel = slice_figure(results, BOUNDS), parallel_figure(results, BOUNDS)
    contour = contour_figure(results, NAMES, BOUNDS)
    assert slices is not None
    assert parallel is not None
    assert contour is not None
    name = metric_name(metric)
    np.testing.assert_allclose(offsets(slices)[:, 1], [1 - result.history[0, -1] for result in results])
    assert {f"lowest 1 - validation {name}", f"1 - {name} by parameter"} <= set(texts(slices))
    assert {f"1 - validation\n{name}"} <= set(texts(parallel))
    assert f"1 - {name} over learning rate and width" in texts(contour)
    assert contour.axes[1].get_ylabel() == f"lowest 1 - validation {name}"
    for figure in (slices, parallel, contour):
        assert colliding_texts(figure) == []
        assert not any("loss" in text for text in texts(figure))


@pytest.mark.parametrize(
    ("low", "high", "fixed"),
    [
        (0.00011, 0.00018, []),
        (0.00011, 0.00018, ["depth", "width", "lr"]),
        (0.0012, 0.0035, []),
        (2e-6, 0.4, ["depth"]),
        (1.1e5, 1.9e5, []),
    ],
)
def test_texts_of_the_slices_do_not_overlap_however_wide_the_tick_labels(
    low: float, high: float, fixed: list[str]
) -> None:
    losses_N = np.geomspace(low, high, 20)
    results = [a_trial(n, result.params, losses_N[n]) for n, result in enumerate(trials(20, fixed))]
    figure = slice_figure(results, BOUNDS)
    assert figure is not None
    assert colliding_texts(figure) == []


def test_trials_without_a_finite_loss_are_crosses_at_the_upper_edge() -> None:
    figure = slice_figure(odd("mixed"), BOUNDS)
    assert figure is not None
    (crosses,) = [line for line in figure.axes[0].lines if line.get_marker() == "X"]
    assert len(crosses.get_xdata()) == 2  # type: ignore[arg-type]
    assert set(np.asarray(crosses.get_ydata()).tolist()) == {figure.axes[0].get_ylim()[1]}
    assert any("crosses: no finite loss" in text for text in texts(figure))


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


def test_parallel_figure_draws_500_of_thousands_of_trials_and_says_so() -> None:
    results = trials(3000)
    figure = parallel_figure(results, BOUNDS)
    assert figure is not None
    (collection,) = figure.axes[0].findobj(LineCollection)
    assert len(collection.get_segments()) == LINES
    assert any(text.startswith("500 of 3,000 trials") for text in texts(figure))


def test_importances_are_in_per_cent_and_a_rough_guess_for_few_trials() -> None:
    figure = importance_figure({"lr": 0.75, "batch_size": 0.25}, 30, 0.1)
    assert {"learning rate", "batch size", "75 %", "25 %"} <= set(texts(figure))
    assert any("30 trials: few" in text for text in texts(figure))
    many = importance_figure({"lr": 1.0}, 50, 0.1)
    assert not any("few" in text for text in texts(many))
    assert decoded(figure_png(many)).shape == (500, 700, 3)
