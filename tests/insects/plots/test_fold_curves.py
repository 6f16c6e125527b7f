"""The learning curves of a finalist, and its decision boundary, which calls no row wrong that it was trained on."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from insects import mlp
from insects.params import Recipe, TrialParams
from insects.plots import TrialFigures
from insects.plots.fold_curves import fold_figure
from insects.training import init
from tests.support.studies import builtin_data

PARAMS = TrialParams(depth=1, width=8, lr=0.01, batch_size=32)


def history(*losses: float) -> np.ndarray:
    return np.array([[loss, 0.5, loss, 0.5] for loss in losses])


def test_every_fold_is_a_line_with_its_best_epoch_ringed() -> None:
    figure = fold_figure([history(1.0, 0.5, 0.25), history(2.0, np.inf, 0.125)], [3, 3], "trial 7")
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["fold 0"].get_ydata(), [1.0, 0.5, 0.25])
    np.testing.assert_array_equal(lines["fold 1"].get_ydata(), [2.0, np.nan, 0.125])
    rings = [line for line in axes.lines if line.get_marker() == "o"]
    assert [np.asarray(ring.get_xydata()).tolist() for ring in rings] == [[[3, 0.25]], [[3, 0.125]]]
    low, high = axes.get_ylim()
    assert low <= 0.125 < 2.0 <= high


def test_fold_without_a_finite_loss_is_drawn_too() -> None:
    (axes,) = fold_figure([history(np.nan)], [0], "trial 7").axes
    assert [line.get_marker() for line in axes.lines] == ["None"]


def test_boundary_of_a_model_that_was_trained_on_all_rows_rings_none() -> None:
    splits = builtin_data().splits
    figures = TrialFigures(splits, raw=(builtin_data().train_raw, builtin_data().valid_raw))
    weights = init(PARAMS, Recipe(1), splits.shape, 0, 0).weights

    def predict(x: np.ndarray) -> np.ndarray:
        return mlp.logits(weights, PARAMS, splits.shape, x)

    drawn = [
        np.asarray(Image.open(io.BytesIO(figures.decision_boundary(predict, "t", seen))).convert("L")).astype(int)
        for seen in (False, True)
    ]
    assert (drawn[0] != drawn[1])[80:, 540:].any()  # the legend lists the rings of the first alone
    black = [(pixels[80:] < 40).sum() for pixels in drawn]
    assert black[0] > black[1] + 500  # an untrained network is wrong in most validation rows
    again = figures.decision_boundary(predict, "t", trained_on_all=False)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(again)).convert("L")), drawn[0])
