"""Figures of a table: histograms, rows in a plane, and features in pairs. Shapes: N rows, F features, K drawn ones."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from insects.encoder import Encoder, number_columns
from insects.plots.boundary import POINTS, dot_size
from insects.plots.plane import LARGEST, plane_for, robust_limits, sample_index
from insects.plots.style import (
    GRID,
    INK,
    NORMAL,
    OKABE_ITO,
    SMALL,
    SMALLEST,
    class_colours,
    class_legend,
    clean_axes,
    default_settings,
    drawable,
    new_figure,
    rare_last,
    write_heading,
)
from insects.tables.associations import anova_f, cramers_v, most_telling
from insects.tables.raw import Category, RawTable
from insects.text import counted

LEVELS = 10
"""Most levels of a category that are drawn, the most frequent ones."""

HISTOGRAMS, PAIRED = 6, 4
"""Most features in a figure; of more, those that each separate the classes best (by ANOVA F)."""

_PAIRED_POINTS = 600  # in each panel
_BOTTOM, _LEFT, _WIDTH, _HEIGHT = 0.115, 0.115, 0.64, 0.745  # shares of the figure; the rest is heading and legend


@default_settings()
def table_figures(table: RawTable) -> dict[str, Figure]:
    """Figures by file name, of the rows with a label, the features with numbers, and the categories.

    A table without both has no figure; a scatter plot needs two features with numbers, a pair plot three.
    """
    labelled = table.y >= 0
    x_NF, y_N = table.x[labelled], table.y[labelled]
    x_NF = np.where(np.isfinite(x_NF), x_NF.clip(-LARGEST, LARGEST), np.nan)  # a table read as text holds more
    with_numbers = np.flatnonzero(np.isfinite(x_NF).any(axis=0))
    x_NF = x_NF[:, with_numbers]
    names = tuple(table.features[column] for column in with_numbers)
    categories = _telling_categories(table, labelled)
    if not names and not categories:
        return {}
    order = _most_telling(x_NF, y_N, len(table.classes))
    lacking = _without_numbers(table.features, with_numbers)
    numbers = order[: HISTOGRAMS - min(len(categories), HISTOGRAMS // 2)]
    categories = categories[: HISTOGRAMS - len(numbers)]
    figures = {"histograms.png": _histograms(names, table, x_NF, y_N, numbers, categories, lacking)}
    if len(names) >= 2:
        figures["scatter.png"] = _scatter(names, table, x_NF, y_N, lacking)
    if len(names) >= 3:
        figures["pair_plot.png"] = _pairs(names, table, x_NF, y_N, order[:PAIRED], lacking)
    return figures


def _most_telling(x_NF: NDArray[np.float64], y_N: NDArray[np.integer], classes: int) -> NDArray[np.intp]:
    """Indices of all columns: those with an ANOVA F by it, then the others."""
    telling = most_telling(anova_f(x_NF, y_N, classes), x_NF.shape[1])
    return np.concatenate([telling, np.setdiff1d(np.arange(x_NF.shape[1]), telling)])


def _telling_categories(table: RawTable, labelled_N: NDArray[np.bool_]) -> list[Category]:
    """The categories of the rows with a label, those that tell the classes apart best first."""
    y_N, classes = table.y[labelled_N], len(table.classes)
    found = [replace(category, code=category.code[labelled_N]) for category in table.categories]
    v = [cramers_v(category.code, y_N, len(category.levels), classes) for category in found]
    return [found[place] for place in np.argsort(-np.nan_to_num(v), kind="stable")]


def _scatter(
    names: tuple[str, ...], table: RawTable, x_NF: NDArray[np.float64], y_N: NDArray[np.integer], lacking: str
) -> Figure:
    """Rows as dots, over two features or over the first two principal components of more."""
    mean_F, std_F = np.nanmean(x_NF, axis=0), np.nanstd(x_NF, axis=0)
    std_F = np.where(std_F > 0, std_F, 1)
    standardized_NF = np.where(np.isfinite(x_NF), (x_NF - mean_F) / std_F, 0).astype(np.float32)
    shown = sample_index(len(y_N), POINTS)
    if len(names) == 2:
        shown = shown[np.isfinite(x_NF[shown]).all(axis=1)]
    flat = (mean_F.astype(np.float32), std_F.astype(np.float32))
    encoder = Encoder(number_columns(names), flat[0], (), (), None, *flat)
    plane = plane_for(encoder, standardized_NF[shown], len(table.classes))

    figure = new_figure()
    axes = figure.add_axes((_LEFT, _BOTTOM, _WIDTH, _HEIGHT))
    _dots(axes, plane.points(standardized_NF[shown]), y_N[shown], len(table.classes), dot_size(len(shown)))
    axes.set_xlim(plane.xlim)
    axes.set_ylim(plane.ylim)
    axes.set_xlabel(plane.xlabel, fontsize=NORMAL, color=INK, parse_math=False)
    axes.set_ylabel(plane.ylabel, fontsize=NORMAL, color=INK, parse_math=False)
    _quiet(axes)
    class_legend(figure, table.classes)
    kind = f"{len(shown):,} of {len(table.y):,} rows" if len(shown) < len(table.y) else f"{len(shown):,} rows"
    gaps = int(np.isnan(x_NF[shown]).any(axis=1).sum())
    if len(names) > 2 and not lacking:  # there is no room for both, and the axes are named so
        kind += f", 2-D projection (PCA of {len(names):,} features)"
    gap_note = f"gaps in {gaps:,} are drawn at the mean" if gaps else ""
    write_heading(figure, "rows by class", "; ".join(filter(None, (kind, gap_note, lacking))))
    return figure


def _histograms(
    names: tuple[str, ...],
    table: RawTable,
    x_NF: NDArray[np.float64],
    y_N: NDArray[np.integer],
    chosen_K: NDArray[np.intp],
    categories: list[Category],
    lacking: str,
) -> Figure:
    """A panel for each feature, its bars stacked by class."""
    count = len(chosen_K) + len(categories)
    columns = 1 if count <= 2 else 2
    rows = math.ceil(count / columns)
    height = max(5, 1.6 + 1.7 * rows)
    below, above = 0.55 / height, 0.13 / height  # room for ticks and name, the same for panels of any height
    figure = new_figure(7, height)
    cell_width, cell_height = (_LEFT + _WIDTH - 0.02) / columns, (0.87 - 0.01) / rows
    panels: list[int | Category] = [*np.sort(chosen_K).tolist(), *categories]
    for place, panel in enumerate(panels):
        row, side = divmod(place, columns)
        left, low = 0.02 + side * cell_width, 0.87 - (row + 1) * cell_height
        room = 0.155 if isinstance(panel, Category) else 0.095  # for the names of levels, or for numbers of rows
        axes: Any = figure.add_axes((left + room, low + below, cell_width - room - 0.01, cell_height - below - above))
        if isinstance(panel, Category):
            name = _bars(axes, panel, y_N, len(table.classes))
        else:
            name = names[panel]
            _stacked(axes, x_NF[:, panel], y_N, len(table.classes))
            axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
            if side == 0:
                axes.set_ylabel("rows", fontsize=NORMAL, color=INK)
        axes.set_xlabel(drawable(name, 46 // columns), fontsize=NORMAL, color=INK, parse_math=False)
        _quiet(axes)
    class_legend(figure, table.classes, where=(0.77, 0.86))
    total = len(names) + len(table.categories)
    write_heading(figure, "histograms, stacked by class", _which(count, total, lacking, bool(table.categories)))
    return figure


def _pairs(
    names: tuple[str, ...],
    table: RawTable,
    x_NF: NDArray[np.float64],
    y_N: NDArray[np.integer],
    chosen_K: NDArray[np.intp],
    lacking: str,
) -> Figure:
    """Scatter plots of each pair of features below the diagonal, and histograms on it."""
    count, classes = len(chosen_K), len(table.classes)
    figure = new_figure(8, 7)
    left, bottom, side = 0.1, 0.09, 0.79 / count
    shown = sample_index(len(y_N), _PAIRED_POINTS)
    limits = [_limits(x_NF[:, column]) for column in chosen_K]
    label: dict[str, Any] = {"fontsize": SMALL, "color": INK, "parse_math": False}
    for row in range(count):
        for column in range(row + 1):
            box = (left + 1.09 * column * side, bottom + (count - 1 - row) * side, side, 0.93 * side)
            axes: Any = figure.add_axes(box, xticks=[], yticks=[])
            if row == column:
                _stacked(axes, x_NF[:, chosen_K[row]], y_N, classes)
                axes.spines["left"].set_visible(False)
            else:
                _dots(axes, x_NF[np.ix_(shown, chosen_K[[column, row]])], y_N[shown], classes, 3.4)
                axes.set_ylim(limits[row])
            axes.set_xlim(limits[column])
            clean_axes(axes)
            if row == count - 1:
                axes.xaxis.set_major_locator(MaxNLocator(3))
                axes.set_xlabel(drawable(names[chosen_K[column]], 75 // count), **label)
            if column == 0 and row > 0:
                axes.yaxis.set_major_locator(MaxNLocator(3))
                axes.set_ylabel(drawable(names[chosen_K[row]], 65 // count), **label)
    class_legend(figure, table.classes, where=(0.77, 0.88))
    write_heading(figure, "features in pairs", _which(count, len(names), lacking))
    return figure


def _dots(axes: Any, points_N2: NDArray[Any], y_N: NDArray[np.integer], classes: int, size: float) -> None:
    order = rare_last(y_N)
    colours = class_colours(classes)[y_N[order]] / 255
    axes.scatter(*points_N2[order].T, s=size**2, c=colours, edgecolors="white", linewidths=0.08 * size, zorder=2)


def _stacked(axes: Any, values_N: NDArray[np.float64], y_N: NDArray[np.integer], classes: int) -> None:
    """A histogram stacked by class, the first class at the bottom."""
    known = np.isfinite(values_N)
    values_N, y_N = values_N[known], y_N[known]
    low, high = _limits(values_N)
    bins = int(np.clip(math.sqrt(len(values_N)), 8, 32))
    edges = np.linspace(low, high, bins + 1)
    below, line = np.zeros(bins), 0.4 if classes <= len(OKABE_ITO) else 0.0
    for code, colour in enumerate(class_colours(classes) / 255):
        above = below + np.histogram(values_N[y_N == code], edges)[0]
        # `axes.stairs` would compute the limits anew for each class.
        base: Any = below  # the stub knows only a number
        axes.add_artist(StepPatch(above, edges, baseline=base, fill=True, fc=colour, ec="white", linewidth=line))
        below = above
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1.05 * max(float(below.max()), 1))


def _bars(axes: Any, category: Category, y_N: NDArray[np.integer], classes: int) -> str:
    """Bars of the most frequent levels, stacked by class; returns the name of the axis of their lengths."""
    counts = np.zeros((len(category.levels), classes))
    known = category.code >= 0
    np.add.at(counts, (category.code[known], y_N[known]), 1)
    order = np.argsort(-counts.sum(axis=1), kind="stable")[:LEVELS]
    before = np.zeros(len(order))
    for code, colour in enumerate(class_colours(classes) / 255):
        axes.barh(range(len(order)), counts[order, code], left=before, color=colour, edgecolor="white", linewidth=0.4)
        before += counts[order, code]
    labels = [drawable(category.levels[level], 12) for level in order]
    size = SMALL if len(order) <= 5 else SMALLEST - 2
    axes.set_yticks(range(len(order)), labels, fontsize=size, parse_math=False)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    left_out = len(category.levels) - len(order)
    return f"{category.name}: rows" + (f", {left_out:,} more levels" if left_out else "")


def _quiet(axes: Any) -> None:
    clean_axes(axes)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)


def _limits(values_N: NDArray[np.float64]) -> tuple[float, float]:
    return robust_limits(values_N[np.isfinite(values_N)].astype(np.float32))


def _which(shown: int, total: int, lacking: str, has_categories: bool = False) -> str:
    if shown < total:
        measure = "ANOVA F, Cramér's V" if has_categories else "ANOVA F"
        best = f"the {shown} of {total:,} features that tell the classes apart best alone ({measure})"
        return "; ".join(filter(None, (best, lacking)))
    return lacking or counted(total, "feature")


def _without_numbers(features: tuple[str, ...], with_numbers: NDArray[np.intp]) -> str:
    """The features that no figure can show, if any, as in `3 of 5 features: a and b hold no numbers`."""
    names = [drawable(features[column], 12) for column in np.setdiff1d(np.arange(len(features)), with_numbers)]
    if not names:
        return ""
    named = names if len(names) <= 2 else [names[0], f"{len(names) - 1:,} more"]
    holds = "holds" if len(names) == 1 else "hold"
    return f"{len(with_numbers):,} of {len(features):,} features: {' and '.join(named)} {holds} no numbers"
