"""Figures of a whole study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from insects.plots.style import (
    GRID,
    INK,
    NORMAL,
    SMALL,
    TRAIN,
    VALID,
    Pixels,
    clean_axes,
    new_figure,
    write_heading,
)
from insects.plots.ticks import FLOOR, floor_note, rounded_down, rounded_up, set_logarithmic

ATLAS_MAPS = 100
"""Most maps on one page."""

State = Literal["complete", "pruned", "failed"]


def boundary_atlas(
    maps: Sequence[Pixels], titles: Sequence[str], columns: int = 10, total: int | None = None
) -> Figure:
    """All trials' decision maps on one page, in the order given (best first), each under its title.

    Args: maps: `(size, size, 3)` uint8 each, as `TrialFigures.thumbnail` makes them; the first 100 are drawn.
    titles: one short line for each map. total: trials there are, if `maps` are the best of more.
    Raises: ValueError: no map, or another number of titles.
    """
    if not maps or len(maps) != len(titles):
        raise ValueError(f"an atlas needs maps and as many titles, found {len(maps)} and {len(titles)}")
    shown = min(len(maps), ATLAS_MAPS)
    columns = min(columns, shown)
    rows = math.ceil(shown / columns)
    size = maps[0].shape[0]
    gap, head = size // 10, size // 4
    step_x, step_y = size + gap, size + gap + head
    page = np.full((rows * step_y, columns * step_x, 3), 255, np.uint8)
    inch = 0.95 / size  # inches a map pixel
    width, height = max(page.shape[1] * inch + 0.4, 5.0), page.shape[0] * inch + 0.85
    figure = new_figure(width, height)
    # One image and one axes for all maps: an axes for each would take seconds.
    box = (0.14 / width, 0.1 / height, page.shape[1] * inch / width, page.shape[0] * inch / height)
    axes = figure.add_axes(box)
    axes.set_axis_off()
    for number in range(shown):
        row, column = divmod(number, columns)
        top, left = row * step_y + head, column * step_x
        page[top : top + size, left : left + size] = maps[number]
        axes.text(
            left + size / 2, top - 0.06 * size, titles[number], ha="center", fontsize=8, color=INK, parse_math=False
        )
    axes.imshow(page, interpolation="nearest", aspect="auto")
    total = total or len(maps)
    of_all = f"all {shown}" if shown == total else f"the best {shown} of {total:,}"
    title = f"decision boundaries of {of_all} trials"
    write_heading(figure, title, "best first, row by row")
    return figure


def optimization_history(numbers: Sequence[int], values: Sequence[float], states: Sequence[State]) -> Figure:
    """Each trial's lowest validation loss by its number, and the best so far.

    Args: values: lowest validation loss of each trial; trials that failed, and those whose value is
    not finite (diverged), are drawn at the upper edge. states: one for each trial.
    Raises: ValueError: the three differ in length, or are empty.
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
        axes.plot(number[pruned], height[pruned], "d", color="#E69F00", markersize=6, label="stopped early")
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
    axes.set_ylabel("lowest validation loss (nats)", fontsize=NORMAL, color=INK)
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
    summary = "no trial has finished"
    if reached.any():
        winner = int(np.argmin(np.where(complete, value, np.inf)))
        summary = f"best: trial {number[winner]}, {value[winner]:.4g} nats"
    write_heading(figure, "optimization history", "; ".join(filter(None, (summary, floor_note(value[drawn])))))
    return figure
