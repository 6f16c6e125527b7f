"""Logits as colours."""

from __future__ import annotations

import numpy as np
import pytest

from insects.mlp import Floats
from insects.plots import TrialFigures
from insects.plots.painter import finer, stretched
from insects.splits import Splits
from tests.support.plot_cases import quadrant_splits


@pytest.fixture(scope="module")
def quadrants() -> Splits:
    return quadrant_splits()


def test_infinite_logits_are_grey_and_spread_no_further(quadrants: Splits) -> None:
    def infinite_on_the_right(x_NF: Floats) -> Floats:
        return np.where(x_NF[:, :1] > 0, np.inf, 1).astype(np.float32) * np.array([1, -1], np.float32)

    thumbnail = TrialFigures(quadrants).thumbnail(infinite_on_the_right)
    assert (thumbnail[:, 36:] == 0x9A).all()
    assert (thumbnail[:, :28, 0] < thumbnail[:, :28, 2]).all()  # the first class's blue


def test_interpolated_logits_of_a_linear_model_are_exact() -> None:
    rows, columns = np.mgrid[0:5, 0:7].astype(np.float32)
    coarse = np.stack([rows + 2 * columns, 3 - rows])
    fine_rows, fine_columns = np.mgrid[0:9, 0:13].astype(np.float32) / 2
    np.testing.assert_allclose(finer(coarse), np.stack([fine_rows + 2 * fine_columns, 3 - fine_rows]))


def test_edges_of_a_stretched_map_are_its_outermost_points() -> None:
    colours = np.tile(np.array([0, 100, 200], np.uint8)[None, :, None], (3, 1, 3))
    np.testing.assert_allclose(stretched(colours, 200, 200)[:, :, 0].mean(axis=0), np.arange(200) + 0.5, atol=0.51)
