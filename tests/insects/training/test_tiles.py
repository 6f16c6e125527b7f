"""Each register tile against numpy, for every width of vector."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal

from insects.training import processor, softmax, tiles
from insects.training.processor import Lanes, flush_denormals, host_lanes, restore_denormals

VECTOR_UNITS = [Lanes(4, 3, False), Lanes(8, 3, False), Lanes(16, 4, False)]
if host_lanes().estimates:
    VECTOR_UNITS.append(host_lanes())
every_unit = pytest.mark.parametrize("lanes", VECTOR_UNITS, ids=str)


def numbers(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@every_unit
def test_affine_tile(lanes: Lanes) -> None:
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


@every_unit
@pytest.mark.parametrize("rows", [1, 4])
def test_update_tile(lanes: Lanes, rows: int) -> None:
    tile = tiles.update(lanes)

    @njit
    def run(rows: int, vectors: int, w: Any, m: Any, v: Any, n: int, x: Any, dz: Any, batch: int) -> None:
        step_size, epsilon = np.float32(0.1), np.float32(1e-3)
        tile(rows, vectors, w, 0, m, 0, v, 0, n, x, 0, rows, dz, 0, n, batch, step_size, epsilon)

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
def test_input_gradient_tile(lanes: Lanes) -> None:
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


@every_unit
@pytest.mark.parametrize("classes", [2, 5, 16, 17, 200])
def test_softmax_row(lanes: Lanes, classes: int) -> None:
    row = softmax.softmax_row(lanes)

    @njit
    def run(z: Any, classes: int, vectors: int, target: int, scale: Any) -> Any:
        return row(z, 0, classes, vectors, target, scale)

    vectors = -(-classes // lanes.count)
    for spread in (0.0, 1.0, 30.0, 1e4):
        padded = np.full(vectors * lanes.count, 7, np.float32)
        padded[:classes] = logits = numbers(classes) * np.float32(spread)
        target = int(np.argsort(logits)[-2])
        exact = logits.astype(np.float64) - logits.max()
        total = np.exp(exact).sum()
        loss, hit = run(padded, classes, vectors, target, np.float32(0.25))
        assert_allclose(loss, np.log(total) - exact[target], rtol=1e-6, atol=2e-7)
        assert hit == (logits.argmax() == target)
        gradient = 0.25 * (np.exp(exact) / total - np.eye(classes)[target])
        assert_allclose(padded[:classes], gradient, rtol=1e-5, atol=1e-7)
        assert_array_equal(padded[classes:], 0)


@every_unit
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_softmax_row_shows_what_is_not_finite(lanes: Lanes, bad: float) -> None:
    row = softmax.softmax_row(lanes)

    @njit
    def run(z: Any) -> Any:
        return row(z, 0, 3, 1, 1, np.float32(1))

    for place in range(3):
        logits = np.zeros(lanes.count, np.float32)
        logits[place] = bad
        assert not np.isfinite(run(logits)[0])


def test_the_way_denormal_numbers_are_treated_is_restored() -> None:
    @njit
    def run(x: Any) -> Any:
        mode = flush_denormals()
        inside = x[0] * x[1]
        restore_denormals(mode)
        return inside, x[0] * x[1]

    small = np.array([1e-30, 1e-10], np.float32)
    inside, after = run(small)
    assert inside == (0.0 if processor._is_x86() else after)
    assert after == np.float32(1e-30) * np.float32(1e-10) > 0
