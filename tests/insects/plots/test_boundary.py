"""Figures of an evaluation and of a study: their texts, marks and pixels."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from insects.evaluation import Report, evaluate
from insects.plots import (
    TrialFigures,
    boundary_atlas,
    confusion_figure,
    evaluation_boundary,
    figure_png,
    optimization_history,
)
from insects.plots.style import LARGE, LEGEND_ROOM, SMALLEST, new_figure, write_heading
from insects.plots.ticks import FLOOR
from insects.splits import Splits
from tests.support.plot_cases import (
    Predict,
    by_sign,
    decoded,
    linear,
    quadrant_splits,
    random_splits,
    texts,
)


@pytest.fixture(scope="module")
def quadrants() -> Splits:
    return quadrant_splits()


def evaluated(splits: Splits, predict: Predict) -> Figure:
    return evaluation_boundary(
        splits.features,
        splits.classes,
        lambda x: predict((x - splits.mean) / splits.std),
        splits.valid_x * splits.std + splits.mean,
        splits.valid_y,
        "insects-mlp version 3",
    )


def test_evaluation_counts_and_marks_the_wrong_rows(quadrants: Splits) -> None:
    figure = evaluated(quadrants, lambda x: by_sign(x + np.float32(0.2)))
    raw = quadrants.valid_x * quadrants.std + quadrants.mean
    wrong = (quadrants.valid_x[:, 0] + 0.2 > 0) != (quadrants.valid_y == 1)
    assert wrong.any()
    assert f"insects-mlp version 3: {wrong.sum()} of {len(wrong)} wrong" in texts(figure)
    rings = figure.axes[0].lines[0].get_xydata()
    np.testing.assert_allclose(np.asarray(rings), raw[wrong], atol=1e-5)
    assert decoded(figure_png(figure)).shape == (500, 700, 3)


def test_axes_and_legend_of_two_features_carry_their_names(quadrants: Splits) -> None:
    shown = texts(evaluated(quadrants, by_sign))
    assert {"f0", "f1", "left", "right", "test row", "wrong"} <= set(shown)


LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("features", [1, 2, 3])
@pytest.mark.parametrize("extremes", [(1e20, 2e20), (-LARGEST, 1), (-LARGEST, LARGEST)])
def test_rows_as_large_as_float32_holds_are_drawn_where_they_are(features: int, extremes: tuple[float, ...]) -> None:
    x_NF = np.random.default_rng(0).normal(size=(40, features)).astype(np.float32)
    x_NF[::7], x_NF[1::7] = extremes

    def first_is_large(rows_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        assert np.isfinite(rows_NF).all()
        large_N = rows_NF[:, 0] > 1
        return np.stack([~large_N, large_N], axis=1).astype(np.float32)

    y_N = (x_NF[:, 0] <= 1).astype(int)
    names = tuple("abc"[:features])
    figure = evaluation_boundary(names, ("small", "large"), first_is_large, x_NF, y_N)
    assert "test rows: 40 of 40 wrong" in texts(figure)
    drawn = np.asarray(figure.axes[0].lines[0].get_xydata())
    assert np.isfinite(drawn).all()
    if features < 3:
        deviation = np.float64(1e-6) * np.abs(x_NF[:, 0]).max()
        np.testing.assert_allclose(drawn[:, 0], x_NF[:, 0].astype(float), rtol=1e-6, atol=deviation)
    assert decoded(figure_png(figure)).shape == (500, 700, 3)


def test_small_spread_far_from_zero_is_drawn_as_that_of_the_same_rows_near_zero() -> None:
    x_NF = np.random.default_rng(0).integers(0, 5, (2000, 3)).astype(np.float32)
    seen: list[NDArray[np.float32]] = []

    def watch(rows_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(rows_NF)
        return np.zeros((len(rows_NF), 2), np.float32)

    for offset in (0, 1_000_000):
        evaluation_boundary(("a", "b", "c"), ("p", "q"), watch, x_NF + np.float32(offset), np.zeros(2000, int))
    near, _, far, _ = seen
    np.testing.assert_allclose(far.astype(float) - 1_000_000, near, atol=0.1)


def test_a_projection_is_named_as_such() -> None:
    shown = texts(evaluated(random_splits(20, 3), linear(20, 3)))
    assert "PCA of 20 features; ground: model on this plane, points lie off it, wrong ones are ringed" in shown
    # Not the trial's axes, which are of training and validation rows.
    assert any(text.startswith("PC 1 of the test rows (") and text.endswith(" % of variance)") for text in shown)


def test_an_evaluation_of_images_speaks_of_images(quadrants: Splits) -> None:
    figure = evaluation_boundary(
        quadrants.features, quadrants.classes, by_sign, quadrants.valid_x, quadrants.valid_y, unit="image"
    )
    assert "test image" in texts(figure)
    assert "test row" not in texts(figure)


def test_one_feature_is_drawn_with_its_probabilities() -> None:
    shown = texts(evaluated(random_splits(1, 3), linear(1, 3)))
    assert {"f0", "probability, stacked by class"} <= set(shown)


def test_a_legend_of_200_classes_is_cut_and_says_so() -> None:
    figure = evaluated(random_splits(2, 200), linear(2, 200))
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(shown) == 12 + 1 + 2
    assert shown[0] == "species 0"
    assert shown[11] == "species 199"
    assert shown[12] == "… and 188 more"


def test_names_are_drawn_as_they_are_and_fit() -> None:
    names = ("_bee", "$x$ and $\\broken", "two\nlines", "W" * 60, "甲虫")
    splits = random_splits(2, 5)
    figure = evaluated(Splits(**{**vars(splits), "classes": names, "features": ("$a", "_b")}), linear(2, 5))
    drawn = figure.legends[0].get_texts()
    assert [text.get_text() for text in drawn[:3]] == ["_bee", "$x$ and $\\broken", "two lines"]
    assert drawn[3].get_text().startswith("WWW")
    assert all(text.get_window_extent().width <= LEGEND_ROOM for text in drawn)
    assert decoded(figure_png(figure)).shape == (500, 700, 3)


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


def test_atlas_shows_every_map_under_its_title() -> None:
    maps = [np.full((64, 64, 3), (index, 0, 200), np.uint8) for index in range(53)]
    figure = boundary_atlas(maps, [f"title {index}" for index in range(53)])
    pixels = decoded(figure_png(figure))
    for index in range(53):
        assert (pixels == (index, 0, 200)).all(axis=2).sum() > 60 * 60
    shown = texts(figure)
    assert "decision boundaries of all 53 trials" in shown
    assert {f"title {index}" for index in range(53)} <= set(shown)


def test_atlas_names_classes_and_axes_once() -> None:
    splits = random_splits(9, 3)
    plane = TrialFigures(splits).plane
    maps = [np.zeros((64, 64, 3), np.uint8)] * 9
    shown = texts(boundary_atlas(maps, ["title"] * 9, 4, None, splits.classes, plane))
    for name in (*splits.classes, "PC 1 of 9 features", "PC 2 of 9 features"):
        assert shown.count(name) == 1
    assert "best first, row by row; models on this plane, rows lie off it" in shown


@pytest.mark.parametrize(("count", "least"), [(1, 0.2), (3, 0.25), (9, 0.4), (50, 0.5)])
def test_atlas_of_any_number_of_trials_is_mostly_maps(count: int, least: float) -> None:
    figure = boundary_atlas([np.full((64, 64, 3), 7, np.uint8)] * count, ["t"] * count, 4 + 2 * (count > 9))
    assert (decoded(figure_png(figure)) == 7).all(axis=2).mean() > least


def test_what_all_long_names_begin_with_is_said_once() -> None:
    names = ("Coleoptera Carabidae Carabus violaceus", "Coleoptera Carabidae Poecilus cupreus")
    figure = confusion_figure(evaluate(np.eye(2), np.arange(2), names))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["Carabus violaceus", "Poecilus cupreus"]
    assert figure.axes[0].get_xlabel() == "predicted class (Coleoptera Carabidae …)"
    same = confusion_figure(evaluate(np.eye(2), np.arange(2), ("genus one", "genus two")))
    assert [text.get_text() for text in same.axes[0].get_yticklabels()] == ["genus one", "genus two"]


def test_atlas_of_more_than_100_trials_shows_the_first_and_says_so() -> None:
    figure = boundary_atlas([np.zeros((64, 64, 3), np.uint8)] * 1120, [f"title {index}" for index in range(1120)])
    shown = texts(figure)
    assert "decision boundaries of the best 100 of 1,120 trials" in shown
    assert "title 99" in shown
    assert "title 100" not in shown


@pytest.mark.parametrize(("maps", "titles"), [(0, 0), (2, 1)])
def test_atlas_without_a_title_for_each_map_is_refused(maps: int, titles: int) -> None:
    with pytest.raises(ValueError, match="as many titles"):
        boundary_atlas([np.zeros((64, 64, 3), np.uint8)] * maps, ["title"] * titles)


def test_history_of_a_study_follows_the_best_complete_trial() -> None:
    figure = optimization_history(
        [3, 0, 1, 2, 4], [0.5, 2.0, np.inf, 0.1, 0.7], ["complete", "complete", "failed", "pruned", "complete"]
    )
    trial, pruned, failed, best = figure.axes[0].lines
    assert np.asarray(trial.get_xydata()).tolist() == [[0, 2.0], [3, 0.5], [4, 0.7]]
    assert np.asarray(pruned.get_xydata()).tolist() == [[2, 0.1]]
    assert np.asarray(failed.get_xdata()).tolist() == [1]
    assert np.asarray(best.get_ydata()).tolist() == [2.0, 2.0, 2.0, 0.5, 0.5]
    assert "best: trial 3, 0.5 nats" in texts(figure)
    assert decoded(figure_png(figure)).shape == (500, 700, 3)


def test_loss_of_zero_is_the_best_of_a_history_and_drawn_at_the_floor() -> None:
    figure = optimization_history([0, 1, 2], [0.5, 0.0, 1e-8], ["complete"] * 3)
    trial, best = figure.axes[0].lines
    assert np.asarray(trial.get_ydata()).tolist() == [0.5, FLOOR, FLOOR]
    assert np.asarray(best.get_ydata()).tolist() == [0.5, FLOOR, FLOOR]
    assert "best: trial 1, 0 nats; losses below 1e-6 are drawn there" in texts(figure)


def test_only_failed_trials_are_called_failed_in_a_history() -> None:
    figure = optimization_history([0, 1, 2], [np.inf, 0.2, np.nan], ["complete", "failed", "pruned"])
    marks = {str(line.get_label()): np.asarray(line.get_xdata()).tolist() for line in figure.axes[0].lines}
    assert marks == {"trial": [], "diverged": [0, 2], "failed": [1], "best so far": []}


def test_a_heading_that_is_too_long_is_smaller() -> None:
    figure = new_figure()
    write_heading(figure, "short", "a long subtitle " * 6)
    assert [text.get_fontsize() for text in figure.texts] == [LARGE, SMALLEST]
    assert all(text.get_window_extent().x1 < 700 for text in figure.texts)


def test_history_of_a_study_without_a_complete_trial_says_so() -> None:
    figure = optimization_history([0, 1], [np.nan, np.inf], ["failed", "failed"])
    assert "no trial has finished" in texts(figure)
    assert decoded(figure_png(figure)).shape == (500, 700, 3)


def test_history_of_a_study_wants_a_value_and_a_state_a_trial() -> None:
    with pytest.raises(ValueError, match="found 2, 1 and 2"):
        optimization_history([0, 1], [0.5], ["complete", "complete"])
