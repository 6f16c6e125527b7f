"""Initial states of a trial, and its random streams."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from insects.mlp import Shape
from insects.params import Recipe, TrialParams
from insects.training import METRICS, batch_order, init

PARAMS, SHAPE = TrialParams(depth=1, width=3, lr=0.1, batch_size=4), Shape(features=2, classes=2)


def test_a_trial_begins_with_zero_moments_and_an_empty_history() -> None:
    state = init(PARAMS, Recipe(), SHAPE, seed=1, trial=2)
    assert (state.epoch, state.step, state.best_epoch, state.status) == (0, 0, 0, "running")
    assert state.history.shape == (0, len(METRICS))
    assert_array_equal(state.best_weights, state.weights)
    assert not state.first_moment.any()
    assert not state.second_moment.any()


def test_weights_follow_from_seed_and_trial_alone() -> None:
    def weights(seed: int, trial: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return init(PARAMS, Recipe(), SHAPE, seed, trial).weights

    assert_array_equal(weights(1, 2), weights(1, 2))
    assert not np.isin(weights(1, 2), weights(1, 3)).any()
    assert not np.isin(weights(1, 2), weights(2, 2)).any()


def test_batch_orders_are_permutations_that_differ_by_epoch_trial_and_seed() -> None:
    orders = [batch_order(seed, trial, epoch, 500) for seed in (0, 1) for trial in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert order.dtype == np.int32
        assert_array_equal(np.sort(order), np.arange(500))
    assert len({order.tobytes() for order in orders}) == len(orders)
    assert_array_equal(batch_order(1, 1, 1, 500), orders[-1])


def test_random_streams_give_the_stored_numbers() -> None:
    """A stored trial can be trained again only as long as these numbers hold."""
    assert_array_equal(batch_order(0, 0, 0, 8), ORDER)
    assert_allclose(init(PARAMS, Recipe(), SHAPE, 0, 0).weights[:4], WEIGHTS, rtol=1e-6)


ORDER = [0, 6, 4, 2, 1, 7, 5, 3]
WEIGHTS = [-0.6827476, 0.092110164, 0.57910687, 0.61579537]
