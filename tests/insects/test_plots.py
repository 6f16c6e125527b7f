"""Figures, rendered for real: what is at the pixels, what the texts say, and that no trial leaves a trace in the next.

Shapes: N rows, F features, C classes, E epochs.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from insects.evaluation import Report, evaluate
from insects.mlp import Floats
from insects.plots import (
    TrialFigures,
    boundary_atlas,
    confusion_figure,
    evaluation_boundary,
    figure_png,
    optimization_history,
)
from insects.plots.plane import finer, principal_plane, robust_limits, stretched
from insects.plots.style import LEGEND_ROOM, class_colours, png
from insects.plots.ticks import label, logarithmic_ticks, rounded_down, rounded_up
from insects.splits import Splits

Predict = Callable[[Floats], Floats]
TITLE = "trial 7: depth 2, width 64, lr 0.0031, batch 4"


def make_splits(x_NF: NDArray[np.floating], y_N: NDArray[np.integer], classes: tuple[str, ...]) -> Splits:
    """Three rows of four train, every fourth validates; columns are called f0, f1, …."""
    valid = np.arange(len(x_NF)) % 4 == 3
    mean, std = x_NF[~valid].mean(axis=0).astype(np.float32), x_NF[~valid].std(axis=0).astype(np.float32)
    x = np.ascontiguousarray((x_NF - mean) / std, np.float32)
    y = y_N.astype(np.int32)
    names = tuple(f"f{column}" for column in range(x.shape[1]))
    return Splits(names, classes, x[~valid], y[~valid], x[valid], y[valid], mean, std, "0" * 64)


def random_splits(features: int, classes: int, rows: int = 400) -> Splits:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(rows, features)) * 10 + 5
    return make_splits(x, generator.integers(0, classes, rows), tuple(f"species {c}" for c in range(classes)))


def linear(features: int, classes: int, seed: int = 1) -> Predict:
    """Logits of a random linear model."""
    weight = np.random.default_rng(seed).normal(size=(features, classes)).astype(np.float32) * 3
    return lambda x: x @ weight


def history(epochs: int) -> NDArray[np.float64]:
    loss = np.geomspace(1.5, 0.1, epochs)
    return np.stack([loss, 1 - loss / 2, loss * 1.1, 1 - loss / 1.9], axis=1)


def decoded(data: bytes) -> NDArray[np.int_]:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]


@pytest.fixture(scope="module")
def quadrants() -> Splits:
    """Rows on the square ±1; class by sign of the first column."""
    x = np.random.default_rng(0).uniform(-1, 1, size=(400, 2))
    return make_splits(x, (x[:, 0] > 0).astype(int), ("left", "right"))


def by_sign(x_NF: Floats) -> Floats:
    return np.stack([-20 * x_NF[:, 0], 20 * x_NF[:, 0]], axis=1)


def test_figures_of_a_trial_are_png_of_700_by_500_pixels(quadrants: Splits) -> None:
    figures = TrialFigures(quadrants)
    assert decoded(figures.loss_curves(history(20), 20, TITLE)).shape == (500, 700, 3)
    assert decoded(figures.decision_boundary(by_sign, TITLE)).shape == (500, 700, 3)


def test_regions_have_the_colour_of_the_class_decided_there(quadrants: Splits) -> None:
    pixels = decoded(TrialFigures(quadrants).decision_boundary(by_sign, TITLE))
    colours = class_colours(2).astype(int)
    # The axes are from column 80 to 528; the median of a region is its background, not the rows on it.
    for class_index, columns in ((0, slice(90, 290)), (1, slice(320, 520))):
        region = np.median(pixels[80:430, columns].reshape(-1, 3), axis=0)
        np.testing.assert_allclose(region, 255 - (255 - colours[class_index]) * 0.62, atol=1.5)


def test_uncertain_regions_are_paler(quadrants: Splits) -> None:
    figures = TrialFigures(quadrants)
    sure, unsure = figures.thumbnail(by_sign), figures.thumbnail(lambda x: by_sign(x * np.float32(0.01)))
    assert unsure.astype(int).sum() > sure.astype(int).sum()
    assert (unsure.astype(int) >= sure).mean() > 0.95


def test_wrong_validation_rows_are_marked_where_they_are() -> None:
    x = np.random.default_rng(0).uniform(-1, 0, size=(400, 2))
    x[3], x[7] = (0.4, 0.4), (0.4, 0.2)  # both validation rows, alone in their corner
    splits = make_splits(x, np.zeros(400, int), ("only", "other"))
    figures = TrialFigures(splits)
    corner = np.array(splits.valid_x[0])

    def wrong_in_the_corner(x_NF: Floats) -> Floats:
        wrong = np.abs(x_NF - corner).max(axis=1) < 1e-4
        return np.where(wrong[:, None], [[0, 20]], [[20, 0]]).astype(np.float32)

    right = decoded(
        figures.decision_boundary(lambda x_NF: np.tile(np.array([20, 0], np.float32), (len(x_NF), 1)), TITLE)
    )
    marked = decoded(figures.decision_boundary(wrong_in_the_corner, TITLE))
    changed = np.argwhere((right != marked).any(axis=2)[70:444])  # below the heading, which counts them
    black = np.argwhere((marked.sum(axis=2) < 60)[70:440, 90:528])
    assert len(changed) > 50
    assert np.ptp(changed, axis=0).max() <= 20  # one ring, not two
    assert changed[:, 1].min() > 470
    assert changed[:, 0].max() < 60
    assert len(black) > 20


def test_a_renderer_draws_the_same_after_other_trials_as_a_fresh_one(quadrants: Splits) -> None:
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


def test_still_layers_that_were_dropped_are_drawn_again_the_same(quadrants: Splits) -> None:
    figures = TrialFigures(quadrants)
    first = figures.loss_curves(history(20), 20, TITLE)
    for epochs in range(1, 16):
        figures.loss_curves(history(epochs), 1, TITLE)
    assert figures.loss_curves(history(20), 20, TITLE) == first


def test_a_title_is_drawn(quadrants: Splits) -> None:
    figures = TrialFigures(quadrants)
    for with_title, without in (
        (figures.loss_curves(history(5), 5, TITLE), figures.loss_curves(history(5), 5, "")),
        (figures.decision_boundary(by_sign, TITLE), figures.decision_boundary(by_sign, "")),
    ):
        rows, columns = np.nonzero((decoded(with_title) != decoded(without)).any(axis=2))
        assert rows.max() < 36
        assert columns.max() > 400


@pytest.mark.parametrize(
    "history_E4",
    [
        np.array([[1.5, 0.3, 1.4, 0.35]]),
        np.array([[1.5, 0.3, 1.4, 0.35], [np.inf, 0.2, np.nan, 0.2]]),
        np.full((3, 4), np.nan),
        np.zeros((3, 4)),
        np.array([[1e300, 0.2, 1e-300, 1.0]]),
        history(500),
    ],
    ids=["one epoch", "diverged", "no number", "zero loss", "extreme", "500 epochs"],
)
@pytest.mark.parametrize("best_epoch", [0, 1])
def test_every_history_can_be_drawn(quadrants: Splits, history_E4: NDArray[np.float64], best_epoch: int) -> None:
    assert decoded(TrialFigures(quadrants).loss_curves(history_E4, best_epoch, TITLE)).shape == (500, 700, 3)


def test_curves_have_their_colours_and_the_best_epoch_is_ruled(quadrants: Splits) -> None:
    pixels = decoded(TrialFigures(quadrants).loss_curves(history(20), 10, TITLE))
    panel = pixels[75:260, 85:680]
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (np.abs(panel - colour).max(axis=2) < 12).sum() > 300
    dark = (panel.sum(axis=2) < 150).sum(axis=0)
    assert dark.max() > 80  # a dashed line from bottom to top
    assert abs(int(dark.argmax()) + 85 - (80.5 + 602 * 9.5 / 20)) < 8


@pytest.mark.parametrize("shape", [(0, 4), (5, 3), (4,)])
def test_a_history_of_another_shape_is_refused(quadrants: Splits, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(E, 4\)"):
        TrialFigures(quadrants).loss_curves(np.zeros(shape), 1, TITLE)


@pytest.mark.parametrize(("features", "classes"), [(1, 2), (1, 200), (2, 200), (3, 9), (40, 5), (3072, 3)])
def test_tables_of_any_shape_can_be_drawn(features: int, classes: int) -> None:
    figures = TrialFigures(random_splits(features, classes))
    predict = linear(features, classes)
    assert decoded(figures.decision_boundary(predict, TITLE)).shape == (500, 700, 3)
    thumbnail = figures.thumbnail(predict)
    assert thumbnail.shape == (64, 64, 3)
    assert thumbnail.dtype == np.uint8
    assert thumbnail.std() > 0


def test_infinite_logits_are_grey_and_spread_no_further(quadrants: Splits) -> None:
    def infinite_on_the_right(x_NF: Floats) -> Floats:
        return np.where(x_NF[:, :1] > 0, np.inf, 1).astype(np.float32) * np.array([1, -1], np.float32)

    thumbnail = TrialFigures(quadrants).thumbnail(infinite_on_the_right)
    assert (thumbnail[:, 36:] == 0x9A).all()
    assert (thumbnail[:, :28, 0] < thumbnail[:, :28, 2]).all()  # the first class's blue


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


def test_a_projection_is_named_as_such() -> None:
    shown = texts(evaluated(random_splits(20, 3), linear(20, 3)))
    assert "decision in a 2-D projection (PCA of 20 features)" in shown
    assert any(text.startswith("PC 1 (") and text.endswith(" % of variance)") for text in shown)


def test_one_feature_is_drawn_with_its_probabilities() -> None:
    shown = texts(evaluated(random_splits(1, 3), linear(1, 3)))
    assert {"f0", "probability, stacked by class"} <= set(shown)


def test_probabilities_of_one_feature_stack_from_the_first_class_below() -> None:
    splits = make_splits(np.linspace(-1, 1, 400)[:, None], np.arange(400) // 200, ("low", "high"))
    pixels = TrialFigures(splits).thumbnail(lambda x: np.tile(np.log(np.array([0.25, 0.75], np.float32)), (len(x), 1)))
    low, high = (255 - (255 - class_colours(2).astype(float)) * 0.37).round()
    column = pixels[:50, 32]  # above the strip of rows
    assert (np.abs(column - high).max(axis=1) < 2).sum() == pytest.approx(37.5, abs=1)
    assert (np.abs(column[-10:] - low) < 2).all()


def test_a_legend_of_200_classes_is_cut_and_says_so() -> None:
    figure = evaluated(random_splits(2, 200), linear(2, 200))
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(shown) == 12 + 1 + 2
    assert shown[0] == "species 0"
    assert shown[11] == "species 199"
    assert shown[12] == "… and 188 more"


def test_names_are_drawn_as_they_are_and_fit() -> None:
    names = ("_bee", "$x$ and $\\broken", "two\nlines", "W" * 60)
    splits = random_splits(2, 4)
    figure = evaluated(Splits(**{**vars(splits), "classes": names, "features": ("$a", "_b")}), linear(2, 4))
    drawn = figure.legends[0].get_texts()
    assert [text.get_text() for text in drawn[:3]] == ["_bee", "$x$ and $\\broken", "two lines"]
    assert drawn[3].get_text().startswith("WWW")
    assert all(text.get_window_extent().width <= LEGEND_ROOM for text in drawn)
    assert decoded(figure_png(figure)).shape == (500, 700, 3)


@pytest.mark.parametrize("count", [2, 5, 8, 9, 12, 100])
def test_colours_of_classes_differ(count: int) -> None:
    colours = class_colours(count)
    assert colours.shape == (count, 3)
    assert len(np.unique(colours, axis=0)) == count


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


def test_history_of_a_study_without_a_complete_trial_says_so() -> None:
    figure = optimization_history([0, 1], [np.nan, np.inf], ["failed", "failed"])
    assert "no trial has finished" in texts(figure)
    assert decoded(figure_png(figure)).shape == (500, 700, 3)


def test_history_of_a_study_wants_a_value_and_a_state_a_trial() -> None:
    with pytest.raises(ValueError, match="found 2, 1 and 2"):
        optimization_history([0, 1], [0.5], ["complete", "complete"])


def test_png_decodes_to_the_pixels_that_went_in() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(37, 53, 4), dtype=np.uint8)
    np.testing.assert_array_equal(decoded(png(pixels)), pixels[..., :3])
    np.testing.assert_array_equal(decoded(png(pixels[..., :3])), pixels[..., :3])


def test_interpolated_logits_of_a_linear_model_are_exact() -> None:
    rows, columns = np.mgrid[0:5, 0:7].astype(np.float32)
    coarse = np.stack([rows + 2 * columns, 3 - rows])
    fine_rows, fine_columns = np.mgrid[0:9, 0:13].astype(np.float32) / 2
    np.testing.assert_allclose(finer(coarse), np.stack([fine_rows + 2 * fine_columns, 3 - fine_rows]))


def test_edges_of_a_stretched_map_are_its_outermost_points() -> None:
    colours = np.tile(np.array([0, 100, 200], np.uint8)[None, :, None], (3, 1, 3))
    np.testing.assert_allclose(stretched(colours, 200, 200)[:, :, 0].mean(axis=0), np.arange(200) + 0.5, atol=0.51)


@pytest.mark.parametrize("shape", [(200, 7), (20, 300)])
def test_principal_plane_is_that_of_the_singular_value_decomposition(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    x = (generator.normal(size=shape) * generator.uniform(0.1, 3, shape[1])).astype(np.float32)
    centre, directions, shares = principal_plane(x)
    _, singular, expected = np.linalg.svd((x - x.mean(axis=0)).astype(np.float64), full_matrices=False)
    np.testing.assert_allclose(centre, x.mean(axis=0))
    np.testing.assert_allclose(np.abs(np.sum(directions * expected[:2], axis=1)), 1, atol=1e-5)
    np.testing.assert_allclose(shares, singular[:2] ** 2 / np.sum(singular**2), rtol=1e-5)


def test_limits_hold_all_values_unless_a_few_lie_far_out() -> None:
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    assert robust_limits(values) == pytest.approx((-0.05, 1.05))
    low, high = robust_limits(np.append(values, np.float32(1000)))
    assert low == pytest.approx(-0.08, abs=0.04)
    assert 1 < high < 2
    assert robust_limits(np.full(5, 3, np.float32)) == (2.0, 4.0)


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [(0.3, 0.2, 0.5), (0.2, 0.2, 0.2), (9, 5, 10), (1, 1, 1), (6e-6, 5e-6, 1e-5), (3e8, 2e8, 5e8)],
)
def test_limits_are_rounded_to_1_2_and_5(value: float, down: float, up: float) -> None:
    assert (rounded_down(value), rounded_up(value)) == (down, up)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1, 2, [1, 1.5, 2]),
        (0.05, 2, [0.05, 0.1, 0.2, 0.5, 1, 2]),
        (0.01, 100, [0.01, 0.1, 1, 10, 100]),
        (1e-6, 1e8, [1e-6, 1e-4, 1e-2, 1, 1e2, 1e4, 1e6, 1e8]),
    ],
)
def test_ticks_are_few_and_round(low: float, high: float, ticks: list[float]) -> None:
    assert logarithmic_ticks(low, high) == ticks


def test_tick_labels_are_short() -> None:
    assert [label(tick) for tick in (0.05, 1.0, 200.0, 1e-5, 1e8)] == ["0.05", "1", "200", "1e-5", "1e8"]
