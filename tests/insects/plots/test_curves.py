"""Loss and accuracy curves of a trial. E: epochs."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from insects.params import ClassWeight, Metric
from insects.plots import TrialFigures
from insects.plots.curves import LossCurves, accuracy_start, summary
from tests.support.plot_cases import TITLE, colliding_texts, decoded, quadrant_splits


@pytest.fixture(scope="module")
def figures() -> TrialFigures:
    return TrialFigures(quadrant_splits())


def history(epochs: int) -> NDArray[np.float64]:
    loss = np.geomspace(1.5, 0.1, epochs)
    return np.stack([loss, 1 - loss / 2, loss * 1.1, 1 - loss / 1.9], axis=1)


def test_dropped_still_layer_is_redrawn_identically(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("insects.plots.curves._STILLS_KEPT", 3)
    curves = LossCurves("row")
    first = curves.draw(history(20), 20, TITLE)
    for epochs in range(1, 5):
        curves.draw(history(epochs), 1, TITLE)
    assert curves.draw(history(20), 20, TITLE) == first


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
def test_every_history_can_be_drawn(figures: TrialFigures, history_E4: NDArray[np.float64], best_epoch: int) -> None:
    assert decoded(figures.loss_curves(history_E4, best_epoch, TITLE)).shape == (500, 700, 3)


def test_curves_have_their_colours_and_the_best_epoch_is_ruled(figures: TrialFigures) -> None:
    pixels = decoded(figures.loss_curves(history(20), 10, TITLE))
    panel = pixels[75:260, 97:680]
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (np.abs(panel - colour).max(axis=2) < 12).sum() > 300
    dark = (panel.sum(axis=2) < 200).sum(axis=0)
    assert dark.max() > 60  # a dashed line from bottom to top
    assert abs(int(dark.argmax()) + 97 - (94.5 + 588 * 9.5 / 20)) < 8


def test_markers_at_the_upper_edge_of_the_losses_are_whole(figures: TrialFigures) -> None:
    history_E4 = np.stack([np.geomspace(0.95, 1e-5, 10), *np.full((3, 10), 0.5)], axis=1)[:, [1, 2, 0, 3]]
    pixels = decoded(figures.loss_curves(history_E4, 10, TITLE))
    above = pixels[65:69, 85:140]  # the axes begin at row 70
    assert (np.abs(above - (0xD5, 0x5E, 0x00)).max(axis=2) < 12).sum() >= 8


@pytest.mark.parametrize(("low", "high"), [(8e-5, 2.4e-4), (1.1e-4, 1.8e-4), (1.1e5, 1.9e5)])
def test_texts_of_the_curves_do_not_overlap_however_wide_the_tick_labels(low: float, high: float) -> None:
    curves = LossCurves("row")
    loss_E = np.geomspace(high, low, 20)
    curves.draw(np.stack([loss_E, loss_E / high, loss_E, loss_E / high], axis=1), 20, TITLE)
    assert colliding_texts(curves._loss.figure) == []


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
def test_summary_names_the_best_epoch_and_losses_not_drawn_at_their_value(
    losses: list[float], best_epoch: int, said: str
) -> None:
    history_E4 = np.array([[0.5, 0.5, loss, 0.75] for loss in losses])
    lost_E = np.flatnonzero(~np.isfinite(history_E4[:, 2])) + 1
    assert summary(history_E4, best_epoch, lost_E) == said


def test_curves_of_images_say_images_in_their_legend() -> None:
    legend = LossCurves("image")._loss.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["validation images", "training images", "best epoch"]


@pytest.mark.parametrize("shape", [(0, 4), (5, 3), (4,)])
def test_history_of_another_shape_is_rejected(figures: TrialFigures, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(E, 4\)"):
        figures.loss_curves(np.zeros(shape), 1, TITLE)


@pytest.mark.parametrize(
    ("counts", "metric", "class_weight", "start"),
    [
        ([240, 240, 240, 240, 240], "loss", "none", 0),
        ([146, 68, 119], "loss", "none", 0),
        ([99, 1], "loss", "none", 95),
        ([99, 1], "accuracy", "none", 95),
        ([92, 8], "loss", "none", 90),
        ([99, 1], "roc-auc", "none", 50),
        ([99, 1], "balanced-accuracy", "none", 50),
        ([99, 1], "loss", "balanced", 50),
        ([50, 50], "loss", "none", 50),
    ],
)
def test_axis_of_accuracies_begins_below_chance(
    counts: list[int], metric: Metric, class_weight: ClassWeight, start: int
) -> None:
    y = np.repeat(np.arange(len(counts)), counts)
    assert accuracy_start(y, len(counts), metric, class_weight) == start


def test_all_trials_of_a_study_have_the_same_axis_of_accuracies() -> None:
    curves = LossCurves("row", 50)
    limits = set()
    for factor in (1.0, 0.6, 0.2):
        curves.draw(history(6) * [1, factor, 1, factor], 6, TITLE)
        limits.add(curves._accuracy.get_ylim())
        assert [tick.get_text() for tick in curves._accuracy.get_yticklabels()] == ["50", "60", "70", "80", "90", "100"]
    assert limits == {(50, 102)}


@pytest.mark.parametrize(("metric", "name"), [("roc-auc", "ROC AUC"), ("balanced-accuracy", "balanced accuracy")])
def test_score_is_drawn_beside_the_accuracy_and_named(metric: Metric, name: str) -> None:
    curves = LossCurves("row", 50, metric)
    score_E = np.linspace(0.6, 0.9, 20)
    drawn = curves.draw(np.column_stack([history(20), score_E]), 20, TITLE)
    np.testing.assert_allclose(np.asarray(curves._score.get_ydata(), float), 100 * score_E)
    assert (np.abs(decoded(drawn)[300:450] - (0x00, 0x9E, 0x73)).max(axis=2) < 12).sum() > 300
    assert colliding_texts(curves._loss.figure) == []
    names = [text.get_text() for text in curves._loss.get_legend().get_texts()]
    assert names == ["validation rows", "training rows", name, "best epoch"]
    said = summary(np.array([[0.5, 0.5, 0.25, 0.75, 0.875]]), 1, np.array([], int), metric)
    assert said == f"best epoch 1: validation loss 0.25, {name} 87.5 %"
    with pytest.raises(ValueError, match=r"\(E, 5\)"):
        curves.draw(history(5), 1, TITLE)
