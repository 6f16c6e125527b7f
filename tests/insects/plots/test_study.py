"""Figures of a whole study: the atlas of decision maps and the optimization history."""

from __future__ import annotations

import numpy as np
import pytest

from insects.plots import TrialFigures, boundary_atlas, figure_png, optimization_history
from insects.plots.ticks import FLOOR
from tests.support.plot_cases import decoded, random_splits, texts


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


def test_atlas_of_more_than_100_trials_shows_the_first_and_says_so() -> None:
    figure = boundary_atlas([np.zeros((64, 64, 3), np.uint8)] * 1120, [f"title {index}" for index in range(1120)])
    shown = texts(figure)
    assert "decision boundaries of the best 100 of 1,120 trials" in shown
    assert "title 99" in shown
    assert "title 100" not in shown


@pytest.mark.parametrize(("maps", "titles"), [(0, 0), (2, 1)])
def test_atlas_without_a_title_for_each_map_is_rejected(maps: int, titles: int) -> None:
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


def test_history_of_another_metric_names_its_objective() -> None:
    figure = optimization_history([0, 1], [0.25, 0.0], ["complete"] * 2, "accuracy")
    assert figure.axes[0].get_ylabel() == "lowest 1 - validation accuracy"
    assert "best: trial 1, 0; values below 1e-6 are drawn there" in texts(figure)


def test_only_failed_trials_are_called_failed_in_a_history() -> None:
    figure = optimization_history([0, 1, 2], [np.inf, 0.2, np.nan], ["complete", "failed", "pruned"])
    marks = {str(line.get_label()): np.asarray(line.get_xdata()).tolist() for line in figure.axes[0].lines}
    assert marks == {"trial": [], "diverged": [0, 2], "failed": [1], "best so far": []}


def test_history_of_a_study_without_a_complete_trial_says_so() -> None:
    figure = optimization_history([0, 1], [np.nan, np.inf], ["failed", "failed"])
    assert "no trial has finished" in texts(figure)
    assert decoded(figure_png(figure)).shape == (500, 700, 3)


def test_history_needs_a_value_and_a_state_for_each_trial() -> None:
    with pytest.raises(ValueError, match="found 2, 1 and 2"):
        optimization_history([0, 1], [0.5], ["complete", "complete"])
