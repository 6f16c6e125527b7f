"""Learning curves: loss and accuracy of a trial over its epochs. E: epochs, M: columns of a history."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from insects.objective import history_columns, metric_name, needs_logits
from insects.params import ClassWeight, Metric
from insects.plots.heading import Heading
from insects.plots.style import (
    GRID,
    INK,
    NORMAL,
    SMALL,
    TRAIN,
    VALID,
    LayeredFigure,
    Pixels,
    clean_axes,
    new_figure,
    png,
    svg_with_heading,
)
from insects.plots.ticks import FLOOR, floor_note, rounded_down, rounded_up, set_logarithmic

_STILLS_KEPT = 12
_ACCURACY_STARTS = (95, 90, 75, 50, 0)  # in per cent, with round ticks between them and 100
_SCORE = "#009E73"  # the green of Okabe and Ito

Limits = tuple[int, float, float]
"""Epochs, lowest and highest loss: all that the still layer depends on."""


def accuracy_start(y_N: NDArray[np.integer], classes: int, metric: Metric, class_weight: ClassWeight) -> int:
    """Where the axis of accuracies of a study begins, in per cent: below what a model has that knows nothing.

    Args:
        y_N: `(N,)` classes of the training rows.
        classes: Number of classes.
        metric: What the study is about; its score is drawn on the same axis.
        class_weight: What a row counts in the loss.
    """
    chance = 100 * float(np.bincount(y_N, minlength=classes).max()) / len(y_N)
    if class_weight == "balanced" or metric == "balanced-accuracy":
        chance = 100 / classes
    if metric == "roc-auc":
        chance = min(chance, 50.0)
    return next(start for start in _ACCURACY_STARTS if start <= chance)


class LossCurves:
    """Draws one history after the other; the still layer of axes with the same limits is drawn once.

    Args:
        unit: What a row is to the user, for the legend.
        accuracy_low: Where the axis of accuracies begins, in per cent; lower values are cut off.
        metric: What the study is about; a score other than the accuracy is drawn beside it.
    """

    def __init__(self, unit: str, accuracy_low: int = 0, metric: Metric = "loss") -> None:
        self._accuracy_low, self._metric = accuracy_low, metric
        self._columns = len(history_columns(metric))
        self._figure = figure = new_figure()
        self._layers = LayeredFigure(figure)
        self._loss: Any = figure.add_axes((0.135, 0.475, 0.84, 0.385))
        self._accuracy: Any = figure.add_axes((0.135, 0.115, 0.84, 0.275))
        self._heading = Heading()
        self._lines: list[Line2D] = []
        score = metric_name(metric) if needs_logits(metric) else ""
        shares = "accuracy, score (%)" if score else "accuracy (%)"
        for axes, quantity in ((self._loss, "cross entropy (nats)"), (self._accuracy, shares)):
            # The thin line is drawn over the thick one, so that both can be seen where they coincide.
            for colour, width in ((VALID, 3), (TRAIN, 1.4)):
                line = Line2D([], [], color=colour, linewidth=width, marker="o", markersize=1.2 + 1.8 * width)
                axes.add_line(line)
                self._lines.append(line)
            axes.set_ylabel(quantity, fontsize=NORMAL, color=INK)
            axes.yaxis.set_label_coords(-0.122, 0.5)
            clean_axes(axes)
            axes.grid(color=GRID, linewidth=0.7)
            axes.set_axisbelow(True)
        self._loss.set_yscale("log")
        self._loss.tick_params(labelbottom=False)
        self._accuracy.set_xlabel("epoch", fontsize=NORMAL, color=INK)
        self._best_lines = [
            axes.axvline(0, color=INK, linewidth=1.2, linestyle=(0, (4, 3))) for axes in (self._loss, self._accuracy)
        ]
        self._best = Line2D([], [], linestyle="", marker="o", markersize=11, color=INK, fillstyle="none")
        self._best.set_markeredgewidth(2)
        self._loss.add_line(self._best)
        self._lost = Line2D([], [], linestyle="", marker="X", markersize=11, color=INK, markeredgecolor="white")
        self._loss.add_line(self._lost)
        self._score = Line2D([], [], color=_SCORE, linewidth=2, marker="o", markersize=4)
        self._accuracy.add_line(self._score)
        named = [(self._lines[0], f"validation {unit}s"), (self._lines[1], f"training {unit}s")]
        named += [(self._score, score)] if score else []
        handles, names = zip(*named, (self._best, "best epoch"), strict=True)
        self._loss.legend(
            handles,
            names,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.03),
            ncols=4,
            fontsize=SMALL,
            labelcolor=INK,
            frameon=False,
            borderaxespad=0.1,
            handlelength=1.6,
            columnspacing=1.2 if score else 2,
        )
        # The limits contain all losses, but not all of each marker.
        for mark in (*self._lines[:2], self._best, self._lost):
            mark.set_clip_on(False)
        self._artists = (
            *self._best_lines,
            *self._lines,
            self._score,
            self._best,
            self._lost,
        )
        for artist in self._artists:
            artist.set_animated(True)
        self._stills: OrderedDict[Limits, Pixels] = OrderedDict()

    def draw(self, history_EM: NDArray[np.float64], best_epoch: int, title: str) -> bytes:
        """PNG of 700 x 500 pixels; see `TrialFigures.loss_curves`."""
        limits, below_title = self._set_curves(history_EM, best_epoch)
        self._layers.pixels[:] = self._still(limits)
        self._layers.draw_over(self._artists)
        self._heading.write(self._layers.pixels, title, below_title)
        return png(self._layers.pixels)

    def svg(self, history_EM: NDArray[np.float64], best_epoch: int, title: str) -> bytes:
        """The same as SVG."""
        limits, below_title = self._set_curves(history_EM, best_epoch)
        self._set_axes(limits)
        self._set_ticks(limits)
        return svg_with_heading(self._figure, title, below_title)

    def _set_curves(self, history_EM: NDArray[np.float64], best_epoch: int) -> tuple[Limits, str]:
        """Set the curves and marks; returns the limits of the axes and the line below the title."""
        columns = self._columns
        if history_EM.ndim != 2 or history_EM.shape[1] != columns or len(history_EM) == 0:
            found = history_EM.shape
            raise ValueError(f"a history must have shape (E, {columns}) with at least one epoch, found {found}")
        shown_EM = np.where(np.isfinite(history_EM), history_EM, np.nan)
        shown_EM[:, [0, 2]] = np.maximum(shown_EM[:, [0, 2]], FLOOR)
        shown_EM[:, [1, *range(3, columns)]] *= 100
        limits = _limits(shown_EM)
        epochs_E = np.arange(1, len(history_EM) + 1)
        drawn = [*zip(self._lines, (2, 0, 3, 1), strict=True), (self._score, 4)]
        for line, column in drawn[: len(self._lines) + columns - 4]:
            line.set_data(epochs_E, shown_EM[:, column])
            line.set_marker("o" if len(epochs_E) <= 40 else "")
        has_best = 1 <= best_epoch <= len(epochs_E)
        for rule in self._best_lines:
            rule.set_xdata([best_epoch] * 2 if has_best else [])
            rule.set_ydata([0, 1] if has_best else [])
        self._best.set_data(([best_epoch], [shown_EM[best_epoch - 1, 2]]) if has_best else ([], []))
        lost_E = epochs_E[~np.isfinite(history_EM[:, [0, 2]]).all(axis=1)]
        # At the upper edge, the place of an infinite loss.
        self._lost.set_data(lost_E, np.full(len(lost_E), limits[2]))
        return limits, summary(history_EM, best_epoch if has_best else 0, lost_E, self._metric)

    def _still(self, limits: Limits) -> Pixels:
        """Set the axes to `limits`; returns the layer below the curves, from the last few if it is one of them."""
        self._set_axes(limits)
        if limits not in self._stills:
            self._set_ticks(limits)
            self._stills[limits] = self._layers.draw_still()
            if len(self._stills) > _STILLS_KEPT:
                self._stills.popitem(last=False)
        self._stills.move_to_end(limits)
        return self._stills[limits]

    def _set_axes(self, limits: Limits) -> None:
        epochs, low, high = limits
        margin = max(0.5, 0.02 * epochs)
        for axes in (self._loss, self._accuracy):
            axes.set_xlim(1 - margin, epochs + margin)
        self._loss.set_ylim(low, high)
        self._accuracy.set_ylim(self._accuracy_low, 100 + 0.04 * (100 - self._accuracy_low))

    def _set_ticks(self, limits: Limits) -> None:
        epochs, low, high = limits
        step = rounded_up(epochs / 11)
        ticks = [1, *range(int(step), epochs + 1, int(step))] if step > 1 else list(range(1, epochs + 1))
        for axes in (self._loss, self._accuracy):
            axes.set_xticks(ticks)
        set_logarithmic(self._loss, low, high)
        self._accuracy.set_yticks(np.linspace(self._accuracy_low, 100, 6))


def _limits(shown_EM: NDArray[np.float64]) -> Limits:
    """Axis limits that contain the finite values, rounded outwards so that many trials share them."""
    losses = shown_EM[:, [0, 2]]
    low, high = (np.nanmin(losses), np.nanmax(losses)) if np.isfinite(losses).any() else (0.1, 1.0)
    low, high = rounded_down(float(low) * 0.95), rounded_up(float(high) * 1.05)
    return len(shown_EM), low, high


def summary(history_EM: NDArray[np.float64], best_epoch: int, lost_E: NDArray[np.int_], metric: Metric = "loss") -> str:
    """The line below the title.

    Args:
        history_EM: `(E, M)`, columns `insects.objective.history_columns`.
        best_epoch: From 1; 0 if there is none.
        lost_E: Epochs (from 1) whose loss is not finite.
        metric: What the study is about.
    """
    floored = floor_note(history_EM[:, [0, 2]])
    if best_epoch == 0:
        return "; ".join(filter(None, (f"no epoch with a finite validation loss ({len(history_EM)} trained)", floored)))
    _, _, loss, *shares = history_EM[best_epoch - 1]
    best = f"best epoch {best_epoch}: validation loss {loss:.4g}"
    lost = f"loss not finite in epoch {lost_E[0]}" if len(lost_E) else ""
    if not (lost and floored):  # there is no room for three notes, and the share is in the panel below
        best += f", {metric_name(metric) if needs_logits(metric) else 'accuracy'} {100 * shares[-1]:.1f} %"
    return "; ".join(filter(None, (best, lost, floored)))
