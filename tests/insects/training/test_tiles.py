"""Each register tile against numpy, for every width of vector."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose

from insects.training import tiles
from insects.training.processor import Lanes
from tests.support.vector_units import every_unit, numbers


@every_unit
def test_affine_tile_equals_numpy(lanes: Lanes) -> None:
    tile = tiles.affine(lanes)

    @njit
    def run(vectors: int, z: Any, x: Any, w: Any, n: int, depth: int, floor: Any) -> None:
        tile(vectors, z, 0, n, x, 0, depth, w, 0, n, depth, floor)

    for vectors in range(1, lanes.panel + 1):
        columns = vectors * lanes.count
        x, w, z = numbers(4, 5), numbers(6, columns, seed=1), np.zeros((4, columns), np.float32)
        for floor in (0.0, -np.inf):
            run(vectors, z.ravel(), x.ravel(), w.ravel(), columns, 5, np.float32(floor))
            assert_allclose(z, np.maximum(x @ w[:5] + w[5], np.float32(floor)), rtol=1e-5, atol=1e-6)
        run(vectors, z.ravel(), x.ravel() * np.float32(np.nan), w.ravel(), columns, 5, np.float32(0))
        assert np.isnan(z).all()


@cache
def compiled_update(lanes: Lanes) -> Any:
    """The update tile as a function, compiled once for each vector unit."""
    tile = tiles.update(lanes)

    @njit
    def run(rows: int, vectors: int, w: Any, m: Any, v: Any, n: int, x: Any, dz: Any, batch: int) -> None:
        step_size, epsilon = np.float32(0.1), np.float32(1e-3)
        tile(rows, vectors, w, 0, m, 0, v, 0, n, x, 0, rows, dz, 0, n, batch, step_size, epsilon)

    return run


@every_unit
@pytest.mark.parametrize("rows", [1, 4])
def test_update_tile_equals_an_adam_step_in_numpy(lanes: Lanes, rows: int) -> None:
    run = compiled_update(lanes)
    for vectors in range(1, lanes.panel + 1):
        columns = vectors * lanes.count
        x, dz = numbers(9, rows), numbers(9, columns, seed=1)
        w, m, v = (numbers(rows, columns, seed=seed) for seed in (2, 3, 4))
        v, dz[:, 0], m[:, 0] = v**2, 0, 0
        v[:, 0] = 0
        g = x.T.astype(np.float64) @ dz / tiles.GRADIENT_SCALE
        new_m, new_v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        new_w = w - np.float64(0.1) * new_m / (np.sqrt(new_v) + 1e-3)
        run(rows, vectors, w.ravel(), m.ravel(), v.ravel(), columns, x.ravel(), dz.ravel(), 9)
        for array, expected in ((w, new_w), (m, new_m), (v, new_v)):
            assert_allclose(array, expected, rtol=1e-5, atol=1e-6)


@every_unit
def test_input_gradient_tile_equals_numpy(lanes: Lanes) -> None:
    tile, inputs = tiles.input_gradient(lanes), lanes.count // 4

    @njit
    def run(dx: Any, x: Any, dz: Any, w: Any, inputs: int, n: int, vectors: int) -> None:
        tile(dx, 0, x, 0, inputs, dz, 0, n, w, 0, n, vectors)

    for vectors in (1, 3):
        columns = vectors * lanes.count
        x, dz, w = numbers(4, inputs), numbers(4, columns, seed=1), numbers(inputs, columns, seed=2)
        dx = np.zeros((4, inputs), np.float32)
        run(dx.ravel(), x.ravel(), dz.ravel(), w.ravel(), inputs, columns, vectors)
        assert_allclose(dx, np.where(x > 0, dz @ w.T, 0), rtol=1e-4, atol=1e-5)
