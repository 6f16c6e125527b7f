"""The figures of probabilities: what they draw equals the metrics, and no text is cut off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from insects.calibration import BINS, calibrate, softmax
from insects.plots import calibration_figure, figure_png, ranking_figures
from insects.ranking import ranking_curve
from tests.support.plot_cases import colliding_texts, decoded, texts

NAMES = ("Carabus violaceus purpurascens", "Poecilus cupreus cupreus")


def rows(classes: int, certainty: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and classes."""
    generator = np.random.default_rng(classes)
    y = generator.integers(0, classes, 400)
    return softmax(certainty * (2 * np.eye(classes)[y] + generator.normal(size=(400, classes)))), y


@pytest.mark.parametrize(
    ("classes", "certainty", "verdict"),
    [(2, 4.0, "overconfident"), (5, 0.5, "underconfident"), (2, 1.85, "about equal")],
)
def test_calibration_draws_accuracy_gap_and_share_of_each_bin(classes: int, certainty: float, verdict: str) -> None:
    calibration = calibrate(*rows(classes, certainty))
    figure = calibration_figure(calibration, "model: calibration")
    axes: Any
    histogram: Any
    axes, histogram = figure.axes
    filled = calibration.counts > 0
    np.testing.assert_allclose([bar.get_height() for bar in axes.patches], calibration.accuracies[filled])
    np.testing.assert_allclose(
        [bar.get_x() + bar.get_width() / 2 for bar in axes.patches], (np.flatnonzero(filled) + 0.5) / BINS
    )
    gaps = np.array([np.sort(segment[:, 1]) for segment in axes.collections[0].get_segments()])
    ends = np.sort([calibration.accuracies[filled], calibration.confidences[filled]], axis=0).T
    np.testing.assert_allclose(gaps, ends)
    np.testing.assert_allclose([bar.get_height() for bar in histogram.patches], 100 * calibration.counts / 400)
    heading = f"confidence {calibration.confidence:.3f}, accuracy {calibration.accuracy:.3f} ({verdict}), "
    assert f"{heading}calibration error {calibration.error:.3f}" in texts(figure)
    assert colliding_texts(figure) == []


def test_curves_of_two_classes_are_those_of_the_second_class() -> None:
    probability, y = rows(2)
    figures = ranking_figures(probability, y, NAMES, "model version 1")
    assert list(figures) == ["roc_curve.png", "precision_recall_curve.png"]
    curve = ranking_curve(probability[:, 1], y == 1)
    called = probability.argmax(axis=1) == 1
    found = np.mean(called[y == 1])
    lines: Any = figures["roc_curve.png"].axes[0].lines
    chance, line, mark = lines
    np.testing.assert_array_equal(line.get_xydata(), np.transpose(curve.roc))
    np.testing.assert_allclose(mark.get_xydata(), [[np.mean(called[y == 0]), found]])
    np.testing.assert_array_equal(chance.get_xydata(), [[0, 0], [1, 1]])
    counts = f"{np.sum(y == 1)} of 'Poecilus c…preus', {np.sum(y == 0)} of 'Carabus vi…scens'"
    assert {"model version 1: ROC curve", f"area {curve.area:.4f}; {counts}"} <= set(texts(figures["roc_curve.png"]))

    lines = figures["precision_recall_curve.png"].axes[0].lines
    chance, line, mark = lines
    precision, recall = curve.precision_recall
    np.testing.assert_array_equal(line.get_xydata(), np.transpose([recall, precision]))
    np.testing.assert_allclose(mark.get_xydata(), [[found, np.mean(y[called] == 1)]])
    np.testing.assert_allclose(chance.get_ydata(), np.mean(y == 1))
    heading = f"average precision {curve.average_precision:.4f}, by chance {np.mean(y == 1):.4f}"
    assert heading in texts(figures["precision_recall_curve.png"])


@pytest.mark.parametrize("names", [NAMES, ("0", "1"), ("W" * 30, "M$_x$" * 8)])
def test_no_text_of_the_curves_is_cut_off(names: tuple[str, str]) -> None:
    for figure in ranking_figures(*rows(2), names, "insects-mlp version 123").values():
        assert decoded(figure_png(figure)).shape == (600, 600, 3)
        assert colliding_texts(figure) == []


def test_model_that_never_predicts_the_second_class_has_no_precision_to_mark() -> None:
    figures = ranking_figures(np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]), np.array([0, 1, 0]), ("ant", "bee"))
    assert len(figures["precision_recall_curve.png"].axes[0].lines) == 2
    (_, _, mark) = figures["roc_curve.png"].axes[0].lines
    np.testing.assert_array_equal(mark.get_xydata(), [[0, 0]])
