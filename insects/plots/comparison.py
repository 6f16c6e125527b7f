"""Figures that compare the trials of a study: importances, slices and parallel coordinates. Shapes: N trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from insects.objective import metric_name, objective_name
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
    default_settings,
    new_figure,
    text_width,
    write_heading,
)
from insects.plots.ticks import label as number_label
from insects.plots.ticks import logarithmic_ticks, rounded_down, rounded_up, set_logarithmic
from insects.plots.trial_axes import (
    LABELS,
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

LINES = 500
"""Most trials that are drawn as lines: the best hundred and an even sample of the others."""

RELIABLE = 50
"""With fewer trials the figure calls importances a rough guess, as the authors of PED-ANOVA do."""

_LABEL_AT, _RIGHT = 0.018, 0.985  # of the width of the slices: centre of the y label, end of the panels

_ORDER = LinearSegmentedColormap.from_list("order", ["#c3dcee", TRAIN, "#022b4a"])


@default_settings()
def importance_figure(shares: Mapping[str, float], trials: int, top: float) -> Figure:
    """Bars of the parameters' importances.

    Args:
        shares: Share of the importance by parameter, in the order to draw.
        trials: Number of trials compared.
        top: Share of them that counts as the best.
    """
    figure = new_figure()
    axes = figure.add_axes((0.27, 0.115, 0.64, 0.745))
    places = np.arange(len(shares))[::-1]
    values = 100 * np.array(list(shares.values()))
    axes.barh(places, values, height=0.55, color=TRAIN)
    for place, value in zip(places, values, strict=True):
        axes.text(value + 1, place, f"{value:.0f} %", va="center", fontsize=LARGE, color=INK)
    axes.set_yticks(places, [short_name(name) for name in shares])
    axes.set_xlim(0, max(1.15 * values.max(), 10))
    axes.set_ylim(-0.6, max(len(shares), 2) - 0.4)
    axes.set_xlabel("share of the importance (%)", fontsize=NORMAL, color=INK)
    _quiet(axes, "x")
    axes.tick_params(axis="y", labelsize=LARGE, length=0)
    rough = "" if trials >= RELIABLE else ": few, so a rough guess"
    best = f"what sets the best {top:.0%} apart".replace("%", " %")
    write_heading(figure, "parameter importances (PED-ANOVA)", f"{best}, of {trials:,} trials{rough}")
    return figure


@default_settings()
def slice_figure(results: Sequence[TrialResult], bounds: Bounds) -> Figure | None:
    """The loss, or another objective, against each parameter that varies; later trials are darker.

    Args:
        results: The study's trials.
        bounds: What was searched, by parameter.

    Returns:
        The figure, or None if no parameter varies or no trial has a finite loss.
    """
    panels, loss_N = varying_axes(results, bounds), losses(results)
    finite_N = np.isfinite(loss_N)
    if not panels or not finite_N.any():
        return None
    limits = _limits(loss_N)
    best = best_trial(results)
    order_N = np.argsort(np.argsort([result.number for result in results]))
    figure = new_figure()
    columns, rows = min(len(panels), 2), 1 + (len(panels) > 2)
    left = _room_for_losses(figure, limits)
    width, height = (_RIGHT - left) / columns, 0.87 / rows
    for place, parameter in enumerate(panels):
        row, column = divmod(place, columns)
        box = (left + column * width, 1.0 - 0.13 - (row + 1) * height + 0.115, width - 0.03, height - 0.125)
        axes: Any = figure.add_axes(box)
        at_N = parameter.spread(best)
        axes.scatter(
            at_N[finite_N],
            loss_N[finite_N],
            s=dot_diameter(len(results)) ** 2,
            c=order_N[finite_N],
            cmap=_ORDER,
            edgecolors="white",
            linewidths=dot_diameter(len(results)) / 18,
        )
        axes.plot(at_N[~finite_N], np.full((~finite_N).sum(), limits[1]), "X", color=INK, markersize=7, clip_on=False)
        if best is not None:
            axes.plot(at_N[best], loss_N[best], markersize=10, clip_on=False, **RING)
        set_logarithmic(axes, *limits)
        parameter.set(axes, "x")
        _quiet(axes)
        axes.tick_params(labelleft=column == 0)
    figure.text(
        _LABEL_AT,
        0.48,
        objective_label(results[0].metric),
        rotation=90,
        va="center",
        ha="center",
        fontsize=NORMAL,
        color=INK,
    )
    lost = "" if finite_N.all() else "crosses: no finite loss"
    notes = filter(None, ("later trials darker", "ringed: the best", lost, spread_note(panels)))
    write_heading(figure, f"{objective_name(results[0].metric, '')} by parameter", "; ".join(notes))
    return figure


def _room_for_losses(figure: Figure, limits: tuple[float, float]) -> float:
    """Share of the figure's width left of the panels: at least a tenth, more where the tick labels are wide."""
    labels = [number_label(tick) for tick in logarithmic_ticks(*limits)]
    # The y label is centred at _LABEL_AT: 10 pixels are its half, 6 are between the two, 9 are tick and padding.
    pixels = 10 + 6 + max(text_width(figure, label, SMALL) for label in labels) + 9
    return max(0.1, _LABEL_AT + pixels / figure.bbox.width)


@default_settings()
def parallel_figure(results: Sequence[TrialResult], bounds: Bounds) -> Figure | None:
    """A line for each trial through its parameters to its loss, or another objective; better trials are darker.

    Args:
        results: The study's trials.
        bounds: What was searched, by parameter.

    Returns:
        The figure, or None if no parameter varies or no trial has a finite loss.
    """
    parameters, loss_N = varying_axes(results, bounds), losses(results)
    finite_N = np.isfinite(loss_N)
    if not parameters or not finite_N.any():
        return None
    low, high = _limits(loss_N)
    level_N = np.log(np.where(finite_N, loss_N, high) / low) / np.log(high / low)
    level_N[~finite_N] = 1.06  # above the axis
    best = best_trial(results)
    heights_N = np.column_stack([*(parameter.shares(parameter.spread(best)) for parameter in parameters), level_N])
    norm = LogNorm(*colour_bounds(loss_N), clip=True)
    drawn = _worst_first(loss_N)
    colours = np.where(finite_N[:, None], LOSS_COLOURS(norm(np.where(finite_N, loss_N, high))), 0.75)

    figure = new_figure()
    axes = figure.add_axes((0.08, 0.1, 0.8, 0.755))
    lines = np.stack([np.broadcast_to(np.arange(len(parameters) + 1), heights_N.shape), heights_N], axis=-1)
    width = float(np.clip(60 / len(drawn), 0.7, 1.5))
    axes.add_collection(LineCollection(list(lines[drawn]), colors=colours[drawn], linewidths=width, alpha=0.8))
    if best is not None:
        axes.plot(*lines[best].T, color=VALID, linewidth=3, marker="o", markersize=6, clip_on=False)
    loss_ticks = [(np.log(tick / low) / np.log(high / low), number_label(tick)) for tick in few_ticks(low, high)]
    for place, parameter in enumerate(parameters):
        shares = parameter.shares(np.array([tick for tick, _ in parameter.ticks]))
        _upright(axes, place, list(zip(shares, [text for _, text in parameter.ticks], strict=True)))
    _upright(axes, len(parameters), loss_ticks)
    names = [LABELS[parameter.name].replace(" (", "\n(") for parameter in parameters]
    metric = results[0].metric
    last = "validation loss\n(nats)" if metric == "loss" else f"1 - validation\n{metric_name(metric)}"
    axes.set_xticks(range(len(names) + 1), [*names, last], fontsize=NORMAL, color=INK)
    axes.tick_params(axis="x", length=0)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.05, len(parameters) + 0.05)
    axes.set_ylim(-0.01, 1.08 if not finite_N.all() else 1.01)
    shown = f"all {len(drawn)} trials" if len(drawn) == len(loss_N) else f"{len(drawn)} of {len(loss_N):,} trials"
    lost = "" if finite_N.all() else "grey: no finite loss"
    notes = filter(None, (f"{shown}, darker is better", "orange: the best", lost, spread_note(parameters)))
    write_heading(figure, "trials in parallel coordinates", "; ".join(notes))
    return figure


def _limits(loss_N: Values) -> tuple[float, float]:
    finite = loss_N[np.isfinite(loss_N)]
    return rounded_down(0.95 * float(finite.min())), rounded_up(1.05 * float(finite.max()))


def _worst_first(loss_N: Values) -> NDArray[np.intp]:
    """Indices of the trials to draw as lines, the best last, which is on top."""
    ranked = np.argsort(loss_N, kind="stable")
    if len(ranked) > LINES:
        best = LINES // 5
        ranked = np.concatenate([ranked[:best], ranked[np.linspace(best, len(ranked) - 1, LINES - best).astype(int)]])
    return ranked[::-1]


def _upright(axes: Any, place: float, ticks: Sequence[tuple[float, str]]) -> None:
    """Draw one of the parallel axes, with its tick labels at the left."""
    axes.axvline(place, color=MUTED, linewidth=1.2, zorder=3)
    for height, text in ticks:
        axes.plot([place - 0.02, place], [height, height], color=MUTED, linewidth=1.2, zorder=3)
        halo = [withStroke(linewidth=3.5, foreground="white")]
        style = {"fontsize": SMALL, "color": INK, "path_effects": halo, "zorder": 4}
        axes.text(place - 0.04, height, text, ha="right", va="center", **style)


def _quiet(axes: Any, grid: str = "both") -> None:
    clean_axes(axes)
    axes.grid(color=GRID, linewidth=0.7, axis=grid)
    axes.set_axisbelow(True)
