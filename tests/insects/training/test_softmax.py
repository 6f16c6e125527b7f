"""Softmax, cross entropy and gradient of a row against numpy, for every width of vector."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal

from insects.training import softmax
from insects.training.processor import Lanes
from tests.support.vector_units import every_unit, numbers


@cache
def compiled_row(lanes: Lanes) -> Any:
    """`run(logits, classes, vectors, target, scale)`, compiled once for each vector unit."""
    row = softmax.softmax_row(lanes)

    @njit
    def run(z: Any, classes: int, vectors: int, target: int, scale: Any) -> Any:
        return row(z, 0, classes, vectors, target, scale)

    return run


@every_unit
@pytest.mark.parametrize("classes", [2, 5, 16, 17, 200])
def test_softmax_row_equals_numpy(lanes: Lanes, classes: int) -> None:
    run, vectors = compiled_row(lanes), -(-classes // lanes.count)
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
def test_loss_of_a_row_with_a_logit_that_is_not_finite_is_not_finite(lanes: Lanes, bad: float) -> None:
    run = compiled_row(lanes)
    for place in range(3):
        logits = np.zeros(lanes.count, np.float32)
        logits[place] = bad
        assert not np.isfinite(run(logits, 3, 1, 1, np.float32(1))[0])
