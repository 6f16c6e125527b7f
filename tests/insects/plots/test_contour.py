"""The loss over two parameters: its points, surface and colour bar."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from numpy.typing import NDArray

from insects.plots import figure_png
from insects.plots.contour import contour_figure
from insects.plots.trial_axes import LABELS
from tests.support.plot_cases import decoded, texts
from tests.support.trial_cases import BOUNDS, NAMES, trials


def points(figure: Figure) -> NDArray[np.float64]:
    """Of the trials in a figure that may hold a surface too."""
    (collection,) = [found for found in figure.axes[0].collections if type(found) is PathCollection]
    return np.asarray(collection.get_offsets())


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


def test_few_trials_are_drawn_without_a_surface() -> None:
    for count, surfaces in ((11, 0), (12, 1)):
        figure = contour_figure(trials(count), NAMES, BOUNDS)
        assert figure is not None
        assert len(figure.axes[0].findobj(ContourSet)) == surfaces
        assert len(points(figure)) == count
        assert any(text.startswith("too few trials to smooth") for text in texts(figure)) == (not surfaces)


def test_colour_bar_has_at_least_two_ticks_and_an_arrow_for_losses_beyond_it() -> None:
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
