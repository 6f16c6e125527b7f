"""The contour figure: the loss, or another objective, over two parameters, as coloured points on a smooth surface.

Shapes: N trials, G points along each side of a grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from insects.objective import objective_name
from insects.plots.style import INK, MUTED, SMALL, clean_axes, default_settings, new_figure, write_heading
from insects.plots.ticks import label as number_label
from insects.plots.trial_axes import (
    LOSS_COLOURS,
    RING,
    Bounds,
    Values,
    best_trial,
    colour_bounds,
    dot_diameter,
    few_ticks,
    losses,
    objective_label,
    short_name,
    spread_note,
    varying_axes,
)
from insects.trial import TrialResult

FEWEST_SMOOTHED = 12
"""With fewer complete trials there is no surface: most of it would be invented."""

_GRID = 61


@default_settings()
def contour_figure(results: Sequence[TrialResult], names: Sequence[str], bounds: Bounds) -> Figure | None:
    """The loss over two parameters.

    Args:
        results: The study's trials.
        names: Parameters, the most important first; the first two that vary are drawn.
        bounds: What was searched, by parameter.

    Returns:
        The figure, or None if fewer than two parameters vary or fewer than four trials have a finite loss.
    """
    finite = [result for result in results if np.isfinite(result.objective)]
    axes_by_name = {parameter.name: parameter for parameter in varying_axes(finite, bounds)}
    chosen = [axes_by_name[name] for name in names if name in axes_by_name][:2]
    if len(chosen) < 2 or len(finite) < 4:
        return None
    x, y = sorted(chosen, key=lambda parameter: parameter.name != "lr")
    complete = sum(result.state == "complete" for result in finite)
    loss_N, best = losses(finite), best_trial(finite)
    low, high = colour_bounds(loss_N)
    norm = LogNorm(low, high, clip=True)
    figure = new_figure()
    axes: Any = figure.add_axes((0.12, 0.115, 0.7, 0.745))
    if complete >= FEWEST_SMOOTHED:
        xs, ys = np.linspace(x.low, x.high, _GRID), np.linspace(y.low, y.high, _GRID)
        surface = _smooth(x.shares(x.at), y.shares(y.at), np.log(loss_N))
        axes.contourf(xs, ys, np.exp(surface), np.geomspace(low, high, 11), cmap=LOSS_COLOURS, norm=norm, extend="both")
    size = 1.2 * dot_diameter(len(finite))
    style = {"edgecolors": "white", "linewidths": size / 9, "zorder": 2}
    at_x, at_y = x.spread(best), y.spread(best)
    axes.scatter(at_x, at_y, s=size**2, c=loss_N, cmap=LOSS_COLOURS, norm=norm, **style)
    if best is not None:
        axes.plot(at_x[best], at_y[best], markersize=size + 5, zorder=3, **RING)
    x.set(axes, "x")
    y.set(axes, "y")
    clean_axes(axes)
    metric = finite[0].metric
    _colour_bar(figure, objective_label(metric), low, high, beyond=bool(loss_N.max() > high))
    smoothed = "smoothed; white where no trial is near" if complete >= FEWEST_SMOOTHED else "too few trials to smooth"
    notes = "; ".join(filter(None, (smoothed, "ringed: the best", spread_note([x, y]))))
    title = f"{objective_name(metric, '')} over {short_name(x.name)} and {short_name(y.name)}"
    write_heading(figure, title, notes)
    return figure


def _colour_bar(figure: Figure, label: str, low: float, high: float, beyond: bool) -> None:
    """Draw the colour bar right of the axes, with at least two ticks; an arrow means losses beyond its upper end."""
    place = figure.add_axes((0.85, 0.115, 0.025, 0.745))
    colours = ScalarMappable(LogNorm(low, high), LOSS_COLOURS)
    bar = figure.colorbar(colours, cax=place, label=label, extend="max" if beyond else "neither")
    labelled = [(tick, number_label(tick)) for tick in few_ticks(low, high)]
    if len(labelled) < 2:
        labelled = [(end, f"{end:.3g}") for end in (low, high)]
    bar.set_ticks([tick for tick, _ in labelled], labels=[text for _, text in labelled])
    bar.minorticks_off()
    place.tick_params(labelsize=SMALL, colors=MUTED, labelcolor=INK)


def _smooth(x_N: Values, y_N: Values, value_N: Values) -> NDArray[Any]:
    """The values smoothed on a grid `(G, G)` over the unit square, masked where no trial is near.

    The kernel regression of Nadaraya and Watson (1964) with a normal kernel.
    """
    # Scott's rule in two dimensions: the kernel narrows with the trials as N^(-1 / (2 + 4)).
    width = 0.3 * len(value_N) ** (-1 / 6)
    grid = np.linspace(0, 1, _GRID)
    near_x, near_y = (np.exp(-0.5 * ((grid[:, None] - at) / width) ** 2) for at in (x_N, y_N))
    weight = near_y @ near_x.T  # (G, G), the sum of all kernels
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (near_y * value_N) @ near_x.T / weight
    return np.ma.masked_where(weight < np.exp(-2), mean)
