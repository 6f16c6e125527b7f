"""Planes of the data: their limits and maps, also of very many features (images have millions)."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from insects.mlp import Floats
from insects.plots import TrialFigures, figure_png
from insects.plots.plane import robust_limits
from insects.plots.style import class_colours
from tests.support.plot_cases import TITLE, decoded, evaluation_boundary, linear, make_splits, random_splits

AT_ONCE = "insects.plots.principal.AT_ONCE"


def test_map_painted_in_blocks_equals_the_map_painted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    splits, predict = random_splits(3000, 3, rows=60), linear(3000, 3)
    whole = TrialFigures(splits)
    expected = whole.thumbnail(predict), whole.decision_boundary(predict, TITLE)
    assert whole.plane.rows.keys() == {33, 36}  # type: ignore[attr-defined] # they are made once a study
    asked: list[int] = []

    def counting(x_NF: Floats) -> Floats:
        asked.append(len(x_NF))
        return predict(x_NF)

    monkeypatch.setattr(AT_ONCE, 100 * 3000)
    figures = TrialFigures(splits)
    assert (figures.thumbnail(counting) != expected[0]).mean() < 1e-3
    assert asked == [100] * 10 + [89]
    # A sum of another block may differ in its last bit, and a pixel on the border of two classes with it.
    differs = decoded(figures.decision_boundary(predict, TITLE)) != decoded(expected[1])
    assert differs.mean() < 1e-3
    assert figures.plane.rows == {}  # type: ignore[attr-defined]


@pytest.mark.slow
def test_figures_of_many_features_need_less_memory_than_five_times_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    features = 40_000
    splits, predict = random_splits(features, 3, rows=40), linear(features, 3)
    rows = splits.train_x.nbytes + splits.valid_x.nbytes  # 6 MB; a map of 31 by 31 points would be 154 MB
    monkeypatch.setattr(AT_ONCE, 1 << 19)
    x_NF = np.ascontiguousarray(splits.valid_x)
    tracemalloc.start()
    try:
        TrialFigures(splits).decision_boundary(predict, TITLE)
        figure_png(evaluation_boundary(splits.features, splits.classes, predict, x_NF, splits.valid_y))
        assert tracemalloc.get_traced_memory()[1] < 5 * rows
    finally:
        tracemalloc.stop()


def test_limits_hold_all_values_unless_a_few_lie_far_out() -> None:
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    assert robust_limits(values) == pytest.approx((-0.05, 1.05))
    low, high = robust_limits(np.append(values, np.float32(1000)))
    assert low == pytest.approx(-0.08, abs=0.04)
    assert 1 < high < 2
    assert robust_limits(np.full(5, 3, np.float32)) == (2.0, 4.0)
    low, high = robust_limits(np.full(5, 1e20, np.float32))
    assert low < 1e20 < high
    largest = float(np.finfo(np.float32).max)
    assert robust_limits(np.array([-largest, largest], np.float32)) == (-largest, largest)


def test_probabilities_of_one_feature_stack_from_the_first_class_below() -> None:
    splits = make_splits(np.linspace(-1, 1, 400)[:, None], np.arange(400) // 200, ("low", "high"))
    pixels = TrialFigures(splits).thumbnail(lambda x: np.tile(np.log(np.array([0.25, 0.75], np.float32)), (len(x), 1)))
    low, high = (255 - (255 - class_colours(2).astype(float)) * 0.37).round()
    column = pixels[:50, 32]  # above the strip of rows
    assert (np.abs(column - high).max(axis=1) < 2).sum() == pytest.approx(37.5, abs=1)
    assert (np.abs(column[-10:] - low) < 2).all()
