"""Decision boundaries with rows on them, of a trial and of an evaluation. N: rows, F: features."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from insects.mlp import Floats
from insects.plots import TrialFigures, figure_png
from insects.plots.heading import Heading
from insects.plots.style import LEGEND_ROOM, class_colours
from insects.splits import Splits
from tests.support.plot_cases import (
    TITLE,
    Predict,
    by_sign,
    decoded,
    evaluation_boundary,
    linear,
    make_splits,
    quadrant_splits,
    random_splits,
    texts,
)


@pytest.fixture(scope="module")
def quadrants() -> Splits:
    return quadrant_splits()


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
    changed = np.argwhere((right != marked).any(axis=2)[70:444, :530])  # below the heading, which counts them
    listed = (right != marked).any(axis=2)[70:, 530:]
    assert len(np.flatnonzero(listed.any(axis=1))) <= 16  # one line of the legend
    assert listed.sum() > 50
    black = np.argwhere((marked.sum(axis=2) < 60)[70:440, 90:528])
    assert len(changed) > 50
    assert np.ptp(changed, axis=0).max() <= 20  # one ring, not two
    assert changed[:, 1].min() > 470
    assert changed[:, 0].max() < 60
    assert len(black) > 20


def test_subtitle_of_a_projection_says_that_rows_lie_off_the_plane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []
    monkeypatch.setattr(Heading, "write", lambda self, pixels, title, subtitle: written.append(subtitle))
    splits = random_splits(9, 3)
    for unit in ("row", "image"):
        figures = TrialFigures(splits, unit)
        figures.decision_boundary(lambda x_NF: np.tile(np.array([1, 0, 0], np.float32), (len(x_NF), 1)), TITLE)
        assert figures.plane.xlabel.startswith("PC 1 of 9 features (")
    wrong = int((splits.valid_y != 0).sum())
    ground = "ground: model on this plane, points lie off it"
    assert written == [f"{ground}; {wrong} of 100 validation {unit} wrong" for unit in ("rows", "images")]


def evaluated(splits: Splits, predict: Predict) -> Figure:
    return evaluation_boundary(
        splits.features,
        splits.classes,
        lambda x: predict((x - splits.encoder.mean) / splits.encoder.std),
        splits.valid_x * splits.encoder.std + splits.encoder.mean,
        splits.valid_y,
        "insects-mlp version 3",
    )


def test_evaluation_counts_and_marks_the_wrong_rows(quadrants: Splits) -> None:
    figure = evaluated(quadrants, lambda x: by_sign(x + np.float32(0.2)))
    raw = quadrants.valid_x * quadrants.encoder.std + quadrants.encoder.mean
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


def test_rows_far_from_zero_are_drawn_like_the_same_rows_near_zero() -> None:
    x_NF = np.random.default_rng(0).integers(0, 5, (2000, 3)).astype(np.float32)
    seen: list[NDArray[np.float32]] = []

    def watch(rows_NF: NDArray[np.float32]) -> NDArray[np.float32]:
        seen.append(rows_NF)
        return np.zeros((len(rows_NF), 2), np.float32)

    for offset in (0, 1_000_000):
        evaluation_boundary(("a", "b", "c"), ("p", "q"), watch, x_NF + np.float32(offset), np.zeros(2000, int))
    grids = [rows for rows in seen if len(rows) != 2000]  # without the test rows themselves
    near, far = grids[0], grids[len(grids) // 2]
    np.testing.assert_allclose(far.astype(float) - 1_000_000, near, atol=0.1)


def test_projection_is_named_in_subtitle_and_axes() -> None:
    shown = texts(evaluated(random_splits(20, 3), linear(20, 3)))
    assert "PCA of 20 features; ground: model on this plane, points lie off it, wrong ones are ringed" in shown
    # Not the trial's axes, which are of training and validation rows.
    assert any(text.startswith("PC 1 of the test rows (") and text.endswith(" % of variance)") for text in shown)


def test_evaluation_of_images_says_image_in_its_legend(quadrants: Splits) -> None:
    figure = evaluation_boundary(
        quadrants.features, quadrants.classes, by_sign, quadrants.valid_x, quadrants.valid_y, unit="image"
    )
    assert "test image" in texts(figure)
    assert "test row" not in texts(figure)


def test_one_feature_is_drawn_with_its_probabilities() -> None:
    shown = texts(evaluated(random_splits(1, 3), linear(1, 3)))
    assert {"f0", "probability, stacked by class"} <= set(shown)


def test_legend_of_200_classes_names_some_and_counts_the_others() -> None:
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
