"""Figures of rows with very many features: block by block, with the same pixels. Images have millions."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from insects.mlp import Floats
from insects.plots import TrialFigures, evaluation_boundary, figure_png
from insects.plots.principal import principal_plane
from tests.support.plot_cases import TITLE, decoded, linear, random_splits

AT_ONCE = "insects.plots.principal.AT_ONCE"


def test_principal_plane_in_blocks_is_the_one_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x_NF = np.random.default_rng(0).normal(size=(20, 333)).astype(np.float32)
    centre, directions, shares = principal_plane(x_NF)
    monkeypatch.setattr(AT_ONCE, 20 * 50)  # columns: six blocks of 50 and one of 33
    in_blocks = principal_plane(x_NF)
    np.testing.assert_array_equal(in_blocks[0], centre)
    np.testing.assert_allclose(in_blocks[1], directions, atol=1e-6)
    assert in_blocks[2] == pytest.approx(shares)


def test_map_painted_in_blocks_is_the_one_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_figures_of_many_features_take_a_small_multiple_of_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    features = 100_000
    splits, predict = random_splits(features, 3, rows=40), linear(features, 3)
    rows = splits.train_x.nbytes + splits.valid_x.nbytes  # 16 MB; a map of 31 by 31 points would be 384 MB
    monkeypatch.setattr(AT_ONCE, 1 << 20)
    x_NF = np.ascontiguousarray(splits.valid_x)
    tracemalloc.start()
    try:
        TrialFigures(splits).decision_boundary(predict, TITLE)
        figure_png(evaluation_boundary(splits.features, splits.classes, predict, x_NF, splits.valid_y))
        assert tracemalloc.get_traced_memory()[1] < 5 * rows
    finally:
        tracemalloc.stop()
