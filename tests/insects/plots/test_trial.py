"""Figures of a trial, rendered for real: what is at the pixels, and that no trial leaves a trace in the next.

Shapes: N rows, F features, C classes, E epochs.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from insects.mlp import Floats
from insects.plots import (
    TrialFigures,
)
from insects.plots.curves import LossCurves, summary
from insects.plots.heading import Heading
from insects.plots.style import class_colours
from insects.splits import Splits
from tests.support.plot_cases import (
    TITLE,
    by_sign,
    decoded,
    linear,
    make_splits,
    quadrant_splits,
    random_splits,
)


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
    panel = pixels[75:260, 97:680]
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (np.abs(panel - colour).max(axis=2) < 12).sum() > 300
    dark = (panel.sum(axis=2) < 200).sum(axis=0)
    assert dark.max() > 60  # a dashed line from bottom to top
    assert abs(int(dark.argmax()) + 97 - (94.5 + 588 * 9.5 / 20)) < 8


def test_markers_at_the_upper_edge_of_the_losses_are_whole(quadrants: Splits) -> None:
    history_E4 = np.stack([np.geomspace(0.95, 1e-5, 10), *np.full((3, 10), 0.5)], axis=1)[:, [1, 2, 0, 3]]
    pixels = decoded(TrialFigures(quadrants).loss_curves(history_E4, 10, TITLE))
    above = pixels[65:69, 85:140]  # the axes begin at row 70
    assert (np.abs(above - (0xD5, 0x5E, 0x00)).max(axis=2) < 12).sum() >= 8


@pytest.mark.parametrize(
    ("losses", "best_epoch", "said"),
    [
        ([1.0, 0.5], 2, "best epoch 2: validation loss 0.5, accuracy 75.0 %"),
        ([1.0, 0.0], 2, "best epoch 2: validation loss 0, accuracy 75.0 %; losses below 1e-6 are drawn there"),
        ([0.5, np.inf], 1, "best epoch 1: validation loss 0.5, accuracy 75.0 %; loss not finite in epoch 2"),
        (
            [0.0, np.inf],
            1,
            "best epoch 1: validation loss 0; loss not finite in epoch 2; losses below 1e-6 are drawn there",
        ),
        ([np.nan, np.nan], 0, "no epoch with a finite validation loss (2 trained)"),
    ],
)
def test_summary_of_a_history_names_the_best_epoch_and_what_is_not_drawn_as_it_is(
    losses: list[float], best_epoch: int, said: str
) -> None:
    history_E4 = np.array([[0.5, 0.5, loss, 0.75] for loss in losses])
    lost_E = np.flatnonzero(~np.isfinite(history_E4[:, 2])) + 1
    assert summary(history_E4, best_epoch, lost_E) == said


def test_curves_of_a_study_of_images_speak_of_images() -> None:
    legend = LossCurves("image")._loss.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["validation images", "training images", "best epoch"]


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


def test_subtitle_of_a_projection_says_that_the_ground_is_not_what_the_rows_got(
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


def test_infinite_logits_are_grey_and_spread_no_further(quadrants: Splits) -> None:
    def infinite_on_the_right(x_NF: Floats) -> Floats:
        return np.where(x_NF[:, :1] > 0, np.inf, 1).astype(np.float32) * np.array([1, -1], np.float32)

    thumbnail = TrialFigures(quadrants).thumbnail(infinite_on_the_right)
    assert (thumbnail[:, 36:] == 0x9A).all()
    assert (thumbnail[:, :28, 0] < thumbnail[:, :28, 2]).all()  # the first class's blue


def test_probabilities_of_one_feature_stack_from_the_first_class_below() -> None:
    splits = make_splits(np.linspace(-1, 1, 400)[:, None], np.arange(400) // 200, ("low", "high"))
    pixels = TrialFigures(splits).thumbnail(lambda x: np.tile(np.log(np.array([0.25, 0.75], np.float32)), (len(x), 1)))
    low, high = (255 - (255 - class_colours(2).astype(float)) * 0.37).round()
    column = pixels[:50, 32]  # above the strip of rows
    assert (np.abs(column - high).max(axis=1) < 2).sum() == pytest.approx(37.5, abs=1)
    assert (np.abs(column[-10:] - low) < 2).all()
