"""The figures of a study's trials: what is at the pixels, and that no trial leaves a trace in the next.

Shapes: N rows, F features, C classes, E epochs.
"""

from __future__ import annotations

import html

import numpy as np
import pytest
from numpy.typing import NDArray

from insects.plots import TrialFigures
from insects.splits import Splits
from tests.support.plot_cases import TITLE, by_sign, decoded, linear, quadrant_splits, random_splits


@pytest.fixture(scope="module")
def quadrants() -> Splits:
    return quadrant_splits()


def history(epochs: int) -> NDArray[np.float64]:
    loss = np.geomspace(1.5, 0.1, epochs)
    return np.stack([loss, 1 - loss / 2, loss * 1.1, 1 - loss / 1.9], axis=1)


def test_figures_of_a_trial_are_png_of_700_by_500_pixels(quadrants: Splits) -> None:
    figures = TrialFigures(quadrants)
    assert decoded(figures.loss_curves(history(20), 20, TITLE)).shape == (500, 700, 3)
    assert decoded(figures.decision_boundary(by_sign, TITLE)).shape == (500, 700, 3)


def test_figures_do_not_depend_on_trials_drawn_before(quadrants: Splits) -> None:
    used = TrialFigures(quadrants)
    for seed in range(3):
        used.decision_boundary(linear(2, 2, seed), f"another title, longer than the other {seed}" * 2)
        used.loss_curves(history(3 + seed) * 10 ** (3 * seed), seed, f"another title {seed}" * 3)
    used.loss_curves(np.full((2, 4), np.nan), 0, "diverged")
    used.decision_boundary(lambda x: np.full((len(x), 2), np.nan, np.float32), "not a number")
    fresh = TrialFigures(quadrants)
    assert used.loss_curves(history(20), 20, TITLE) == fresh.loss_curves(history(20), 20, TITLE)
    assert used.decision_boundary(by_sign, TITLE) == fresh.decision_boundary(by_sign, TITLE)
    np.testing.assert_array_equal(used.thumbnail(by_sign), fresh.thumbnail(by_sign))


def test_svg_has_heading_labels_and_marks_as_text_and_leaves_no_trace_in_the_next_figure(quadrants: Splits) -> None:
    used, fresh = TrialFigures(quadrants), TrialFigures(quadrants)
    curves = used.loss_curves(history(20), 20, TITLE, svg=True).decode()
    boundary = used.decision_boundary(linear(2, 2, 0), TITLE, svg=True).decode()
    for svg, texts in ((curves, ("epoch", "accuracy (%)", "best epoch")), (boundary, ("class", "validation row"))):
        assert all(f">{text}</text>" in svg for text in (html.escape(TITLE, quote=False), *texts))
        assert "<dc:date>" not in svg
    assert "best epoch 20: validation loss 0.11" in curves
    wrong = int((linear(2, 2, 0)(quadrants.valid_x).argmax(axis=1) != quadrants.valid_y).sum())
    assert wrong > 0
    assert f"{wrong} of {len(quadrants.valid_y)} validation rows wrong" in boundary
    assert boundary.count("data:image/png;base64,") == 1
    assert fresh.decision_boundary(linear(2, 2, 0), TITLE, svg=True).decode() == boundary
    assert used.loss_curves(history(20), 20, TITLE, svg=True).decode() == curves
    assert used.loss_curves(history(7), 7, TITLE) == fresh.loss_curves(history(7), 7, TITLE)
    assert used.decision_boundary(by_sign, TITLE) == fresh.decision_boundary(by_sign, TITLE)


def test_a_title_is_drawn(quadrants: Splits) -> None:
    figures = TrialFigures(quadrants)
    for with_title, without in (
        (figures.loss_curves(history(5), 5, TITLE), figures.loss_curves(history(5), 5, "")),
        (figures.decision_boundary(by_sign, TITLE), figures.decision_boundary(by_sign, "")),
    ):
        rows, columns = np.nonzero((decoded(with_title) != decoded(without)).any(axis=2))
        assert rows.max() < 36
        assert columns.max() > 400


@pytest.mark.parametrize(("features", "classes"), [(1, 2), (1, 200), (2, 200), (3, 9), (40, 5), (3072, 3)])
def test_tables_of_any_shape_can_be_drawn(features: int, classes: int) -> None:
    figures = TrialFigures(random_splits(features, classes))
    predict = linear(features, classes)
    assert decoded(figures.decision_boundary(predict, TITLE)).shape == (500, 700, 3)
    thumbnail = figures.thumbnail(predict)
    assert thumbnail.shape == (64, 64, 3)
    assert thumbnail.dtype == np.uint8
    assert thumbnail.std() > 0
