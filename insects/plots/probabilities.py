"""Figures of predicted probabilities: the calibration, and for two classes the ROC and the precision-recall curve."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from insects.calibration import BINS, Calibration
from insects.plots.style import (
    GRID,
    INK,
    MUTED,
    NORMAL,
    SMALL,
    SMALLEST,
    TRAIN,
    VALID,
    clean_axes,
    default_settings,
    drawable,
    new_figure,
    write_heading,
)
from insects.ranking import RankingCurve, ranking_curve

_NAME_LENGTH = 16  # characters of a class name on an axis
_LONGEST_LABEL = 510  # pixels
_BALANCED = 0.005
"""Confidence and accuracy that differ by less are called equal in the heading."""


@default_settings()
def calibration_figure(calibration: Calibration, title: str = "calibration") -> Figure:
    """The reliability diagram: accuracy by confidence, above the histogram of the confidence.

    Args:
        calibration: The rows in bins of their confidence.
        title: First line of the heading.
    """
    figure = new_figure(6, 6)
    axes: Any = figure.add_axes((0.125, 0.375, 0.84, 0.49))
    histogram: Any = figure.add_axes((0.125, 0.1, 0.84, 0.21))
    edges = np.linspace(0, 1, BINS + 1)
    middle_B, width = (edges[1:] + edges[:-1]) / 2, 0.92 / BINS
    filled = calibration.counts > 0
    accuracies, confidences = calibration.accuracies[filled], calibration.confidences[filled]
    bars = axes.bar(middle_B[filled], accuracies, width, color=TRAIN, alpha=0.85)
    gaps = axes.vlines(confidences, accuracies, confidences, color=VALID, linewidth=2.5)
    (diagonal,) = axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    histogram.bar(middle_B, 100 * calibration.counts / calibration.counts.sum(), width, color=TRAIN, alpha=0.85)
    axes.set_ylabel("accuracy", fontsize=NORMAL, color=INK)
    histogram.set_ylabel("rows (%)", fontsize=NORMAL, color=INK)
    histogram.set_xlabel("confidence: probability of the predicted class", fontsize=NORMAL, color=INK)
    _up_to_one(axes)
    for each in (axes, histogram):
        each.set_xlim(0, 1)
        each.yaxis.set_label_coords(-0.095, 0.5)
        _grid(each)
    axes.tick_params(labelbottom=False)
    axes.legend(
        [bars, gaps, diagonal],
        ["accuracy", "gap to the confidence", "no gap"],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.015),
        ncols=3,
        fontsize=SMALL,
        labelcolor=INK,
        frameon=False,
        borderaxespad=0.1,
    )
    confidence, accuracy = calibration.confidence, calibration.accuracy
    if abs(confidence - accuracy) < _BALANCED:
        verdict = "about equal"
    else:
        verdict = "overconfident" if confidence > accuracy else "underconfident"
    numbers = f"confidence {confidence:.3f}, accuracy {accuracy:.3f} ({verdict})"
    write_heading(figure, title, f"{numbers}, calibration error {calibration.error:.3f}")
    return figure


@default_settings()
def ranking_figures(
    probability_N2: NDArray[np.float64], y_N: NDArray[np.integer], classes: tuple[str, ...], title: str = "two classes"
) -> dict[str, Figure]:
    """The ROC and the precision-recall curve of the second of two classes.

    Args:
        probability_N2: `(N, 2)` finite probabilities.
        y_N: `(N,)` true classes, 0 and 1, both of them.
        classes: The two class names.
        title: Begins the first line of the headings.

    Returns:
        `roc_curve.png` and `precision_recall_curve.png`.

    Raises:
        ValueError: A class has no row.
    """
    curve = ranking_curve(probability_N2[:, 1], y_N == 1)
    predicted_N = probability_N2.argmax(axis=1)
    chosen = int(np.sum((predicted_N == 1) & (y_N == 1))), int(np.sum((predicted_N == 1) & (y_N == 0)))
    negative, positive = (f"'{drawable(name, _NAME_LENGTH)}'" for name in classes)
    return {
        "roc_curve.png": _roc(curve, chosen, negative, positive, title),
        "precision_recall_curve.png": _precision_recall(curve, chosen, positive, title),
    }


def _roc(curve: RankingCurve, chosen: tuple[int, int], negative: str, positive: str, title: str) -> Figure:
    found, alarms = chosen
    positives, negatives = int(curve.true_positives[-1]), int(curve.false_positives[-1])
    figure, axes = _square_axes()
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), label="chance")
    axes.plot(*curve.roc, color=TRAIN, linewidth=2.2, label="the model, by threshold", clip_on=False)
    _mark(axes, alarms / negatives, found / positives)
    _name(
        axes,
        f"false positive rate: share of {negative} called wrong",
        f"true positive rate: share of {positive} called right",
    )
    axes.legend(loc="lower right", fontsize=SMALL, labelcolor=INK, frameon=False)
    write_heading(
        figure,
        f"{title}: ROC curve",
        f"area {curve.area:.4f}; {positives:,} of {positive}, {negatives:,} of {negative}",
    )
    return figure


def _precision_recall(curve: RankingCurve, chosen: tuple[int, int], positive: str, title: str) -> Figure:
    found, alarms = chosen
    positives, rows = int(curve.true_positives[-1]), int(curve.true_positives[-1] + curve.false_positives[-1])
    precision, recall = curve.precision_recall
    figure, axes = _square_axes()
    axes.axhline(positives / rows, color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)), label="chance")
    # "steps-pre": the precision up to a recall is that of the threshold which reaches it.
    axes.plot(
        recall,
        precision,
        color=TRAIN,
        linewidth=2.2,
        drawstyle="steps-pre",
        label="the model, by threshold",
        clip_on=False,
    )
    if found + alarms:
        _mark(axes, found / positives, found / (found + alarms))
    _name(axes, f"recall: share of {positive} that is found", f"precision: share of {positive} in what is called so")
    axes.legend(loc="lower left", fontsize=SMALL, labelcolor=INK, frameon=False)
    write_heading(
        figure,
        f"{title}: precision and recall",
        f"average precision {curve.average_precision:.4f}, by chance {positives / rows:.4f}",
    )
    return figure


def _square_axes() -> tuple[Figure, Any]:
    figure = new_figure(6, 6)
    axes: Any = figure.add_axes((0.135, 0.11, 0.82, 0.755))
    axes.set_xlim(0, 1)
    _up_to_one(axes)
    _grid(axes)
    return figure, axes


def _up_to_one(axes: Any) -> None:
    """Let the y axis end above 1, with room for the line there, and its ticks at 1."""
    axes.set_ylim(0, 1.02)
    axes.set_yticks(np.linspace(0, 1, 6))


def _grid(axes: Any) -> None:
    clean_axes(axes)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)


def _mark(axes: Any, x: float, y: float) -> None:
    """Mark where the class with the larger probability is predicted."""
    axes.plot([x], [y], linestyle="", marker="o", markersize=9, color=VALID, label="threshold 0.5", clip_on=False)


def _name(axes: Any, xlabel: str, ylabel: str) -> None:
    """Name both axes, in smaller letters where a name is too long."""
    for name, write in ((xlabel, axes.set_xlabel), (ylabel, axes.set_ylabel)):
        label = write(name, fontsize=NORMAL, color=INK, parse_math=False)
        box = label.get_window_extent()
        if max(box.width, box.height) > _LONGEST_LABEL:
            label.set_fontsize(SMALLEST)
