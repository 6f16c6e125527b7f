"""The confusion matrix: its cells, names and texts."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Text

from insects.evaluation import Report, evaluate
from insects.plots import confusion_figure, figure_png
from tests.support.plot_cases import decoded


def report_with(classes: int) -> Report:
    labels = np.arange(classes * 3) % classes
    logits = np.eye(classes)[np.where(np.arange(classes * 3) == 0, 1, labels)]
    return evaluate(logits, labels, tuple(f"species {c}" for c in range(classes)))


@pytest.mark.parametrize("classes", [2, 5, 30, 31, 200])
def test_confusion_matrix_names_classes_and_numbers_cells_up_to_30_classes(classes: int) -> None:
    figure = confusion_figure(report_with(classes))
    cells = [text.get_text() for text in figure.axes[0].texts]
    assert cells == (["2", "1", *["3"] * (classes - 1)] if classes <= 30 else [])
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert (names[0], names[-1]) == ("species 0", f"species {classes - 1}")
    assert len(names) == (classes if classes <= 30 else 20)
    assert decoded(figure_png(figure)).shape[2] == 3


@pytest.mark.parametrize("classes", [2, 8, 30])
def test_no_text_of_a_confusion_matrix_is_cut_off(classes: int) -> None:
    report = evaluate(np.eye(classes), np.arange(classes), tuple(f"{c} Carabus violaceus" for c in range(classes)))
    figure = confusion_figure(report)
    figure_png(figure)
    width, height = figure.get_size_inches() * 100
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 >= 0, text
            assert box.y0 >= 0, text
            assert box.x1 <= width, text
            assert box.y1 <= height, text


def test_common_beginning_of_long_names_moves_to_the_axis_label() -> None:
    names = ("Coleoptera Carabidae Carabus violaceus", "Coleoptera Carabidae Poecilus cupreus")
    figure = confusion_figure(evaluate(np.eye(2), np.arange(2), names))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["Carabus violaceus", "Poecilus cupreus"]
    assert figure.axes[0].get_xlabel() == "predicted class (Coleoptera Carabidae …)"
    same = confusion_figure(evaluate(np.eye(2), np.arange(2), ("genus one", "genus two")))
    assert [text.get_text() for text in same.axes[0].get_yticklabels()] == ["genus one", "genus two"]
