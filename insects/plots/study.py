"""Figures of a whole study: the atlas of decision maps and the optimization history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from insects.params import Metric
from insects.plots.plane import Plane, Projection
from insects.plots.style import (
    GRID,
    INK,
    LEGEND_CLASSES,
    NORMAL,
    SMALL,
    TRAIN,
    VALID,
    Pixels,
    class_legend,
    clean_axes,
    default_settings,
    fit,
    new_figure,
    write_heading,
)
from insects.plots.ticks import FLOOR, floor_note, rounded_down, rounded_up, set_logarithmic
from insects.plots.trial_axes import objective_label

ATLAS_MAPS = 100
"""Most maps in an atlas."""

_NARROWEST, _HEAD = 5.0, 0.7  # inches: width that the title needs, and room above the maps

State = Literal["complete", "pruned", "failed"]


@default_settings()
def boundary_atlas(
    maps: Sequence[Pixels],
    titles: Sequence[str],
    columns: int = 10,
    total: int | None = None,
    classes: Sequence[str] = (),
    plane: Plane | None = None,
) -> Figure:
    """The decision maps of all trials, each under its title.

    Args:
        maps: `(size, size, 3)` uint8 each, from `TrialFigures.thumbnail`, the best first; the first 100 are drawn.
        titles: A short line for each map.
        columns: Most maps in a row.
        total: Number of trials, if `maps` are only the best of them.
        classes: Class names for a legend; none without them.
        plane: Gives the axes their names; none without it.

    Raises:
        ValueError: There is no map, or another number of titles.
    """
    if not maps or len(maps) != len(titles):
        raise ValueError(f"an atlas needs maps and as many titles, found {len(maps)} and {len(titles)}")
    shown = min(len(maps), ATLAS_MAPS)
    rows = math.ceil(shown / columns)
    columns = math.ceil(shown / rows)
    size = maps[0].shape[0]
    gap, head = size // 10, size // 4
    step_x, step_y = size + gap, size + gap + head
    page = np.full((rows * step_y, columns * step_x, 3), 255, np.uint8)
    # In inches. Few maps are drawn larger, so that they fill the width that the title needs.
    named = 0.3 if plane else 0.0
    left, bottom, legend_width = 0.14 + named, 0.1 + named, 1.65 if classes else 0.0
    inch = float(np.clip((_NARROWEST - left - legend_width) / page.shape[1], 0.95 / size, 2.4 / size))
    page_width, page_height = page.shape[1] * inch, page.shape[0] * inch
    legend_height = 0.24 * (2 + min(len(classes), LEGEND_CLASSES + 1)) if classes else 0.0
    width, height = max(left + page_width + legend_width, _NARROWEST), max(page_height + bottom, legend_height) + _HEAD
    figure = new_figure(width, height)
    # All maps are one image on one axes: an axes for each map would take seconds.
    low = height - _HEAD - page_height
    axes = figure.add_axes((left / width, low / height, page_width / width, page_height / height))
    axes.set_axis_off()
    for number in range(shown):
        row, column = divmod(number, columns)
        top, at = row * step_y + head, column * step_x
        page[top : top + size, at : at + size] = maps[number]
        middle = at + size / 2
        axes.text(middle, top - 0.06 * size, titles[number], ha="center", fontsize=8, color=INK, parse_math=False)
    axes.imshow(page, interpolation="nearest", aspect="auto")
    if plane:
        at_x, at_y = (left + page_width / 2) / width, (low + page_height / 2) / height
        _axis_name(figure, plane.xlabel, (at_x, (low - 0.12) / height), 100 * page_width, 0)
        _axis_name(figure, plane.ylabel, (0.2 / width, at_y), 100 * page_height, 90)
    if classes:
        class_legend(figure, classes, where=((left + page_width + 0.1) / width, 1 - (_HEAD + 0.1) / height))
    off = "; models on this plane, rows lie off it" if isinstance(plane, Projection) else ""
    write_heading(figure, f"decision boundaries of {_which(shown, total or len(maps))}", f"best first, row by row{off}")
    return figure


def _which(shown: int, total: int) -> str:
    """The trials of an atlas: `all 12 trials`, or `the best 100 of 1,200 trials`."""
    if shown < total:
        return f"the best {shown} of {total:,} trials"
    return f"all {shown} trials" if shown > 1 else "1 trial"


def _axis_name(figure: Figure, name: str, at: tuple[float, float], room: float, rotation: float) -> None:
    """Write the name of an axis without its part in parentheses, in at most `room` pixels."""
    text = figure.text(*at, "", fontsize=SMALL, color=INK, ha="center", va="center", parse_math=False)
    fit(text, name.partition(" (")[0], room)
    text.set_rotation(rotation)


@default_settings()
def optimization_history(
    numbers: Sequence[int], values: Sequence[float], states: Sequence[State], metric: Metric = "loss"
) -> Figure:
    """The lowest objective of each trial by its number, and the best so far.

    Args:
        numbers: Trial numbers.
        values: Lowest objectives; failed trials and those that are not finite are drawn at the upper edge.
        states: State of each trial.
        metric: What the objective is about.

    Raises:
        ValueError: The three differ in length, or are empty.
    """
    if not numbers or not len(numbers) == len(values) == len(states):
        raise ValueError(f"one value and state a trial, found {len(numbers)}, {len(values)} and {len(states)}")
    order = np.argsort(numbers, kind="stable")
    number = np.asarray(numbers)[order]
    value = np.asarray(values, float)[order]
    state = np.asarray(states)[order]
    failed = state == "failed"
    diverged = ~failed & ~np.isfinite(value)
    drawn = ~failed & ~diverged
    complete, pruned = drawn & (state == "complete"), drawn & (state == "pruned")
    height = np.maximum(value, FLOOR)

    figure = new_figure()
    axes = figure.add_axes((0.135, 0.165, 0.84, 0.695))
    clean_axes(axes)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.plot(number[complete], height[complete], "o", color=TRAIN, markersize=6, alpha=0.75, label="trial")
    if pruned.any():
        axes.plot(number[pruned], height[pruned], "d", color="#E69F00", markersize=6, label="pruned")
    for lost, marker, label in ((diverged, "^", "diverged"), (failed, "X", "failed")):
        if lost.any():
            edge, at_edge = np.full(np.count_nonzero(lost), 0.985), axes.get_xaxis_transform()
            axes.plot(number[lost], edge, marker, color=INK, markersize=7, transform=at_edge, label=label)
    best = np.minimum.accumulate(np.where(complete, height, np.inf))
    reached = np.isfinite(best)
    axes.plot(number[reached], best[reached], color=VALID, linewidth=2.2, drawstyle="steps-post", label="best so far")
    if drawn.any():
        set_logarithmic(axes, rounded_down(0.95 * height[drawn].min()), rounded_up(1.05 * height[drawn].max()))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("trial", fontsize=NORMAL, color=INK)
    axes.set_ylabel(objective_label(metric), fontsize=NORMAL, color=INK)
    figure.legend(
        loc="lower center",
        bbox_to_anchor=(0.555, 0.0),
        ncols=5,
        frameon=False,
        fontsize=SMALL,
        labelcolor=INK,
        columnspacing=1.2,
        handlelength=1.5,
        handletextpad=0.5,
    )
    name = "losses" if metric == "loss" else "values"
    summary = "no trial has finished"
    if reached.any():
        winner = int(np.argmin(np.where(complete, value, np.inf)))
        unit = " nats" if metric == "loss" else ""
        summary = f"best: trial {number[winner]}, {value[winner]:.4g}{unit}"
    write_heading(figure, "optimization history", "; ".join(filter(None, (summary, floor_note(value[drawn], name)))))
    return figure
