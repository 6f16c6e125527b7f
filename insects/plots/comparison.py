"""Figures that compare a study's trials: what its parameters have to do with the loss.

Shapes: N trials, G points of a grid a side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from insects.plots.style import (
    GRID,
    INK,
    LARGE,
    MUTED,
    NORMAL,
    SMALL,
    TRAIN,
    VALID,
    clean_axes,
    new_figure,
    write_heading,
)
from insects.plots.ticks import label as number_label
from insects.plots.ticks import logarithmic_ticks, rounded_down, rounded_up, set_logarithmic
from insects.plots.trial_axes import LABELS, LOSS_LABEL, ParameterAxis, Values, best_trial, losses, varying_axes
from insects.trial import TrialResult

LINES = 500
"""Most trials drawn as lines: the best hundred and an even sample of the rest."""

RELIABLE = 50
"""Trials from which on importances are more than a rough guess, as their authors say."""

_ORDER = LinearSegmentedColormap.from_list("order", ["#c3dcee", TRAIN, "#022b4a"])
_LOSS = mpl.colormaps["viridis"]
_GRID = 61
_RING: dict[str, Any] = {"marker": "o", "color": VALID, "fillstyle": "none", "markeredgewidth": 2.2}


def importance_figure(shares: Mapping[str, float], trials: int, top: float) -> Figure:
    """Bars of the parameters' importances, in the order given; `trials` were compared, `top` of them as the best."""
    figure = new_figure()
    axes = figure.add_axes((0.27, 0.115, 0.64, 0.745))
    places = np.arange(len(shares))[::-1]
    values = 100 * np.array(list(shares.values()))
    axes.barh(places, values, height=0.55, color=TRAIN)
    for place, value in zip(places, values, strict=True):
        axes.text(value + 1, place, f"{value:.0f} %", va="center", fontsize=LARGE, color=INK)
    axes.set_yticks(places, [LABELS[name].partition(" (")[0] for name in shares])
    axes.set_xlim(0, max(1.15 * values.max(), 10))
    axes.set_ylim(-0.6, max(len(shares), 2) - 0.4)
    axes.set_xlabel("share of the importance (%)", fontsize=NORMAL, color=INK)
    _quiet(axes, "x")
    axes.tick_params(axis="y", labelsize=LARGE, length=0)
    rough = "" if trials >= RELIABLE else ": few, so a rough guess"
    best = f"what sets the best {top:.0%} apart".replace("%", " %")
    write_heading(figure, "parameter importances (PED-ANOVA)", f"{best}, of {trials:,} trials{rough}")
    return figure


def slice_figure(results: Sequence[TrialResult]) -> Figure | None:
    """The loss against each parameter that varies, later trials darker; None where there is nothing to draw."""
    panels, loss_N = varying_axes(results), losses(results)
    finite_N = np.isfinite(loss_N)
    if not panels or not finite_N.any():
        return None
    limits = _limits(loss_N)
    best = best_trial(results)
    order_N = np.argsort(np.argsort([result.number for result in results]))
    figure = new_figure()
    columns, rows = min(len(panels), 2), 1 + (len(panels) > 2)
    for place, parameter in enumerate(panels):
        row, column = divmod(place, columns)
        width, height = 0.885 / columns, 0.87 / rows
        box = (0.1 + column * width, 1.0 - 0.13 - (row + 1) * height + 0.115, width - 0.03, height - 0.125)
        axes: Any = figure.add_axes(box)
        at_N = parameter.spread()
        axes.scatter(
            at_N[finite_N],
            loss_N[finite_N],
            s=_dot(len(results)) ** 2,
            c=order_N[finite_N],
            cmap=_ORDER,
            edgecolors="white",
            linewidths=_dot(len(results)) / 18,
        )
        axes.plot(at_N[~finite_N], np.full((~finite_N).sum(), limits[1]), "X", color=INK, markersize=7, clip_on=False)
        if best is not None:
            axes.plot(at_N[best], loss_N[best], markersize=10, clip_on=False, **_RING)
        set_logarithmic(axes, *limits)
        _parameter_ticks(axes, parameter, "x")
        _quiet(axes)
        axes.tick_params(labelleft=column == 0)
    figure.text(0.018, 0.48, LOSS_LABEL, rotation=90, va="center", ha="center", fontsize=NORMAL, color=INK)
    lost = "" if finite_N.all() else "; crosses: no finite loss"
    write_heading(figure, "loss by parameter", f"later trials darker; ringed: the best{lost}")
    return figure


def parallel_figure(results: Sequence[TrialResult]) -> Figure | None:
    """A line a trial through its parameters to its loss; None where there is nothing to draw."""
    parameters, loss_N = varying_axes(results), losses(results)
    finite_N = np.isfinite(loss_N)
    if not parameters or not finite_N.any():
        return None
    low, high = _limits(loss_N)
    level_N = np.log(np.where(finite_N, loss_N, high) / low) / np.log(high / low)
    level_N[~finite_N] = 1.06
    heights_N = np.column_stack([*(parameter.shares(parameter.spread()) for parameter in parameters), level_N])
    norm = LogNorm(*_bounds(loss_N), clip=True)
    drawn = _worst_first(loss_N)
    colours = np.where(finite_N[:, None], _LOSS(norm(np.where(finite_N, loss_N, high))), 0.75)

    figure = new_figure()
    axes = figure.add_axes((0.08, 0.1, 0.8, 0.755))
    lines = np.stack([np.broadcast_to(np.arange(len(parameters) + 1), heights_N.shape), heights_N], axis=-1)
    width = float(np.clip(60 / len(drawn), 0.7, 1.5))
    axes.add_collection(LineCollection(list(lines[drawn]), colors=colours[drawn], linewidths=width, alpha=0.8))
    best = best_trial(results)
    if best is not None:
        axes.plot(*lines[best].T, color=VALID, linewidth=3, marker="o", markersize=6, clip_on=False)
    loss_ticks = [(np.log(tick / low) / np.log(high / low), number_label(tick)) for tick in _few_ticks(low, high)]
    for place, parameter in enumerate(parameters):
        shares = parameter.shares(np.array([tick for tick, _ in parameter.ticks]))
        _upright(axes, place, list(zip(shares, [text for _, text in parameter.ticks], strict=True)))
    _upright(axes, len(parameters), loss_ticks)
    names = [LABELS[parameter.name].replace(" (", "\n(") for parameter in parameters]
    axes.set_xticks(range(len(names) + 1), [*names, "validation loss\n(nats)"], fontsize=NORMAL, color=INK)
    axes.tick_params(axis="x", length=0)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.05, len(parameters) + 0.05)
    axes.set_ylim(-0.01, 1.08 if not finite_N.all() else 1.01)
    shown = f"all {len(drawn)} trials" if len(drawn) == len(loss_N) else f"{len(drawn)} of {len(loss_N):,} trials"
    lost = "" if finite_N.all() else "; grey: no finite loss"
    write_heading(figure, "trials in parallel coordinates", f"{shown}, darker is better; orange: the best{lost}")
    return figure


def contour_figure(results: Sequence[TrialResult], names: Sequence[str]) -> Figure | None:
    """The loss over the first two of the parameters `names` that vary; None where fewer do, or with too few trials."""
    finite = [result for result in results if np.isfinite(result.valid_loss)]
    axes_by_name = {parameter.name: parameter for parameter in varying_axes(finite)}
    chosen = [axes_by_name[name] for name in names if name in axes_by_name][:2]
    if len(chosen) < 2 or len(finite) < 4:
        return None
    x, y = sorted(chosen, key=lambda parameter: parameter.name != "lr")
    loss_N = losses(finite)
    norm = LogNorm(*_bounds(loss_N), clip=True)
    figure = new_figure()
    axes: Any = figure.add_axes((0.12, 0.115, 0.7, 0.745))
    xs, ys = np.linspace(x.low, x.high, _GRID), np.linspace(y.low, y.high, _GRID)
    surface = _smooth(x.shares(x.at), y.shares(y.at), np.log(loss_N))
    levels = np.geomspace(*_bounds(loss_N), 11)
    axes.contourf(xs, ys, np.exp(surface), levels, cmap=_LOSS, norm=norm, extend="both")
    size = 1.2 * _dot(len(finite))
    style = {"edgecolors": "white", "linewidths": size / 9, "zorder": 2}
    axes.scatter(x.spread(), y.spread(), s=size**2, c=loss_N, cmap=_LOSS, norm=norm, **style)
    best = best_trial(finite)
    if best is not None:
        axes.plot(x.spread()[best], y.spread()[best], markersize=size + 5, zorder=3, **_RING)
    _parameter_ticks(axes, x, "x")
    _parameter_ticks(axes, y, "y")
    clean_axes(axes)
    bar = figure.add_axes((0.85, 0.115, 0.025, 0.745))
    figure.colorbar(ScalarMappable(norm, _LOSS), cax=bar, label=LOSS_LABEL)
    ticks = _few_ticks(levels[0], levels[-1])
    bar.set_yticks(ticks, [number_label(tick) for tick in ticks])
    bar.minorticks_off()
    bar.tick_params(labelsize=SMALL, colors=MUTED, labelcolor=INK)
    what = f"{LABELS[x.name].partition(' (')[0]} and {LABELS[y.name].partition(' (')[0]}"
    write_heading(figure, f"loss over {what}", "smoothed; white where no trial is near; ringed: the best")
    return figure


def _smooth(x_N: Values, y_N: Values, value_N: Values) -> NDArray[Any]:
    """Means `(G, G)` weighted by a normal kernel (Nadaraya and Watson, 1964) on the unit square; far off masked.

    The kernel narrows with the trials as N^(-1/6), Scott's rule in two dimensions.
    """
    width = 0.3 * len(value_N) ** (-1 / 6)
    grid = np.linspace(0, 1, _GRID)
    near_x, near_y = (np.exp(-0.5 * ((grid[:, None] - at) / width) ** 2) for at in (x_N, y_N))
    weight = near_y @ near_x.T
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (near_y * value_N) @ near_x.T / weight
    return np.ma.masked_where(weight < np.exp(-2), mean)


def _bounds(loss_N: Values) -> tuple[float, float]:
    """The colours go from the best loss to that which nine of ten trials are below: no single bad one sets them."""
    finite = loss_N[np.isfinite(loss_N)]
    low = float(finite.min())
    return low, max(float(np.quantile(finite, 0.9)), 1.01 * low)


def _limits(loss_N: Values) -> tuple[float, float]:
    finite = loss_N[np.isfinite(loss_N)]
    return rounded_down(0.95 * float(finite.min())), rounded_up(1.05 * float(finite.max()))


def _few_ticks(low: float, high: float) -> list[float]:
    ticks = logarithmic_ticks(low, high)
    return ticks[:: 1 + len(ticks) // 8]


def _worst_first(loss_N: Values) -> NDArray[np.intp]:
    """Trials to draw as lines, the best last and so on top."""
    ranked = np.argsort(loss_N, kind="stable")
    if len(ranked) > LINES:
        best = LINES // 5
        ranked = np.concatenate([ranked[:best], ranked[np.linspace(best, len(ranked) - 1, LINES - best).astype(int)]])
    return ranked[::-1]


def _upright(axes: Any, place: float, ticks: Sequence[tuple[float, str]]) -> None:
    """One of the parallel axes, with its labels left of it."""
    axes.axvline(place, color=MUTED, linewidth=1.2, zorder=3)
    for height, text in ticks:
        axes.plot([place - 0.02, place], [height, height], color=MUTED, linewidth=1.2, zorder=3)
        halo = [withStroke(linewidth=3.5, foreground="white")]
        style = {"fontsize": SMALL, "color": INK, "path_effects": halo, "zorder": 4}
        axes.text(place - 0.04, height, text, ha="right", va="center", **style)


def _parameter_ticks(axes: Any, parameter: ParameterAxis, side: str) -> None:
    getattr(axes, f"set_{side}lim")(parameter.low, parameter.high)
    getattr(axes, f"set_{side}ticks")(*zip(*parameter.ticks, strict=True))
    getattr(axes, f"set_{side}label")(LABELS[parameter.name], fontsize=NORMAL, color=INK)


def _quiet(axes: Any, grid: str = "both") -> None:
    clean_axes(axes)
    axes.grid(color=GRID, linewidth=0.7, axis=grid)
    axes.set_axisbelow(True)


def _dot(trials: int) -> float:
    """Diameter in points of a trial's dot."""
    return float(np.clip(7 * (60 / max(trials, 1)) ** 0.3, 2.5, 7))
