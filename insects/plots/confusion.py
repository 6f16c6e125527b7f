"""The confusion matrix of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from insects.evaluation import Report
from insects.plots.style import (
    GRID,
    INK,
    MUTED,
    NORMAL,
    SMALL,
    clean_axes,
    default_settings,
    drawable,
    new_figure,
    write_heading,
)

NUMBERED_CLASSES = 30
"""With more classes than this the cells have no numbers and not every class is named."""

_LONGEST_NAME = 24  # characters
_BLUES = LinearSegmentedColormap.from_list("shares", ["#ffffff", "#9ecae1", "#0072B2", "#03355c"])


@default_settings()
def confusion_figure(report: Report, title: str = "confusion matrix") -> Figure:
    """Counts of true by predicted class; the colour of a cell is its share of the true class.

    Args:
        report: The evaluation.
        title: First line of the heading.
    """
    count = len(report.classes)
    numbered = count <= NUMBERED_CLASSES
    named = np.arange(count) if numbered else np.unique(np.linspace(0, count - 1, 20).round().astype(int))
    shared = _shared_beginning(report.classes)
    names = [drawable(report.classes[c][len(shared) :], _LONGEST_NAME) for c in named]
    longest = max(map(len, names))

    # All lengths are in inches. The page grows with the names, so that none is cut off.
    side = float(np.clip(1.6 + 0.4 * count, 3.4, 9))
    name_room = 0.085 * longest
    slanted = name_room > side / len(names)
    left, right, top = 0.65 + name_room, 1.05, 0.85
    bottom = 0.7 + (0.75 * name_room if slanted else 0)
    width, height = max(left + side + right, 6), bottom + side + top
    left += (width - left - side - right) / 2
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, bottom / height, side / width, side / height))
    bar = figure.add_axes(((left + side + 0.15) / width, bottom / height, 0.14 / width, side / height))

    shares = report.confusion / np.maximum(report.confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap=_BLUES, vmin=0, vmax=1)
    figure.colorbar(image, cax=bar)
    bar.set_ylabel("share of the true class", fontsize=SMALL, color=INK)
    bar.tick_params(labelsize=SMALL, colors=MUTED, labelcolor=INK)
    if numbered:
        _number_cells(axes, report.confusion, shares)
    clean_axes(axes)
    axes.spines[:].set_visible(False)
    turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(named, names, parse_math=False, **turned)
    axes.set_yticks(named, names, parse_math=False)
    beginning = f" ({drawable(shared, _LONGEST_NAME)} …)" if shared else ""
    axes.set_xlabel(f"predicted class{beginning}", parse_math=False, fontsize=NORMAL, color=INK)
    axes.set_ylabel("true class", fontsize=NORMAL, color=INK)

    low, high = report.interval
    summary = (
        f"{report.correct:,} of {report.total:,} right: {report.accuracy:.4f} (95 % interval {low:.4f} to "
        f"{high:.4f}{report.interval_note})"
    )
    write_heading(figure, title, summary)
    return figure


def _shared_beginning(names: Sequence[str]) -> str:
    """The words that all names begin with, if some name is too long to be drawn whole; otherwise nothing."""
    if len(names) < 2 or max(map(len, names)) <= _LONGEST_NAME:
        return ""
    # What the first and the last name in order have in common, all names between them have.
    pairs = zip(min(names), max(names), strict=False)
    shared = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return shared[: shared.rfind(" ") + 1]


def _number_cells(axes: Any, confusion: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    """Write the counts that are not zero into the cells, and draw thin lines between the cells."""
    count = len(confusion)
    size = float(np.clip(12.5 - 0.2 * count, 6.5, 11))
    for true, predicted in zip(*np.nonzero(confusion), strict=True):
        colour = "white" if shares[true, predicted] > 0.5 else INK
        number = f"{confusion[true, predicted]:,}"
        axes.text(predicted, true, number, ha="center", va="center", color=colour, fontsize=size)
    edges = np.arange(count + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=0.8)
    axes.tick_params(which="minor", length=0)
