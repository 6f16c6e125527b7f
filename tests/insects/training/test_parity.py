"""The compiled engine against the torch engine, and the torch engine against torch's own layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from insects.mlp import Floats, layer_sizes, unflatten
from insects.params import ClassWeight, Recipe, TrialParams
from insects.splits import Splits
from insects.training import Engine, TrainingState, advance, batch_order, init
from tests.support.split_cases import uneven

CORNERS = [
    TrialParams(depth, width, lr, batch)
    for depth, width, lr, batch in product((1, 4), (16, 256), (1e-4, 1e-1), (4, 128))
] + [TrialParams(0, 16, lr, batch) for lr, batch in product((1e-4, 1e-1), (4, 128))]


def scale(array: NDArray[Any]) -> float:
    return float(np.abs(array).max())


def states_along_a_run(
    params: TrialParams, splits: Splits, epochs: tuple[int, ...], class_weight: ClassWeight
) -> Iterator[TrainingState]:
    state = init(params, Recipe(20, class_weight=class_weight), splits.shape, seed=5, trial=1)
    for epoch in epochs:
        state = advance(state, splits, epoch - state.epoch)
        yield state


def one_step(state: TrainingState, splits: Splits, engine: Engine) -> TrainingState:
    """One step on the next batch of the state's own order, but for rows at a kink, at the constant rate."""
    rows = batch_order(state.seed, state.trial, state.epoch, len(splits.train_y))[: state.params.batch_size]
    rows = rows[~at_a_kink(state, splits.train_x[rows])]
    batch = replace(splits, train_x=splits.train_x[rows], train_y=splits.train_y[rows])
    recipe = Recipe(state.epoch + 1, "constant", state.recipe.class_weight)
    return advance(replace(state, recipe=recipe, status="running"), batch, 1, engine=engine)


def at_a_kink(state: TrainingState, x_BF: Floats) -> NDArray[np.bool_]:
    """Rows `(B,)` that put a hidden unit within float32's rounding of zero.

    Which of ReLU's two gradients they get depends on the order of a sum, so two right engines may differ there.
    """
    close_B, hidden = np.zeros(len(x_BF), bool), x_BF.astype(np.float64)
    for weight, bias in unflatten(state.weights, state.params, state.shape)[:-1]:
        z, terms = hidden @ weight.T + bias, np.abs(hidden) @ np.abs(weight).T + np.abs(bias)
        close_B |= (np.abs(z) < 1e-6 * terms).any(axis=1)
        hidden = np.maximum(z, 0)
    return close_B


def adam_step(after: TrainingState) -> NDArray[np.float64]:
    """What Adam took off the weights, in float64 from the moments it left."""
    m, v = after.first_moment.astype(np.float64), after.second_moment.astype(np.float64)
    return after.params.lr * m / (1 - 0.9**after.step) / (np.sqrt(v / (1 - 0.999**after.step)) + 1e-8)


@pytest.mark.parametrize("params", CORNERS, ids=str)
def test_compiled_step_equals_torch_step_along_a_training_run(params: TrialParams, spiral_splits: Splits) -> None:
    assert_steps_are_equal(params, spiral_splits, "none")


@pytest.mark.parametrize("params", [TrialParams(depth, 32, 1e-2, 16) for depth in (0, 1, 3)], ids=str)
def test_compiled_step_equals_torch_step_where_classes_are_balanced(params: TrialParams, spiral_splits: Splits) -> None:
    assert_steps_are_equal(params, uneven(spiral_splits), "balanced")


def assert_steps_are_equal(params: TrialParams, splits: Splits, class_weight: ClassWeight) -> None:
    for state in states_along_a_run(params, splits, (0, 1, 4, 12), class_weight):
        compiled, by_torch = (one_step(state, splits, engine) for engine in ("compiled", "torch"))
        assert_allclose(compiled.history[-1], by_torch.history[-1], rtol=1e-4, atol=1e-6)
        moments: Any = (
            (compiled.first_moment, by_torch.first_moment, state.first_moment, 0.9),
            (compiled.second_moment, by_torch.second_moment, state.second_moment, 0.999),
        )
        for a, b, before, beta in moments:
            assert_allclose(a, b, rtol=1e-4, atol=1e-4 * scale(b))
            # What the step added: the gradient, and its square.
            added = (b - beta * before) / (1 - beta)
            assert_allclose((a - beta * before) / (1 - beta), added, rtol=1e-4, atol=1e-4 * max(scale(added), scale(b)))
        # From weights whose gradient is near Adam's epsilon the two may step apart, but each as its moments say.
        for trained in (compiled, by_torch):
            assert_allclose(trained.weights, state.weights - adam_step(trained), rtol=1e-5, atol=1e-5 * params.lr)


@pytest.mark.slow
def test_engines_drift_no_further_apart_than_torch_from_torch_with_permuted_units(spiral_splits: Splits) -> None:
    for params in (TrialParams(2, 64, 1e-3, 32), TrialParams(3, 40, 1e-2, 16)):
        drift, permuted_drift = [], []
        for trial in range(3):
            state = init(params, Recipe(4), spiral_splits.shape, seed=2, trial=trial)
            reference = advance(state, spiral_splits, 4, engine="torch").history
            drift.append(np.abs(advance(state, spiral_splits, 4).history - reference)[:, [0, 2]].max(1))
            for permutation in range(3):
                other = replace(state, weights=permuted(state, np.random.default_rng(permutation)))
                history = advance(other, spiral_splits, 4, engine="torch").history
                permuted_drift.append(np.abs(history - reference)[:, [0, 2]].max(1))
        # Chaos makes single runs vary; the largest of nine, times two, is what chance allows one of three. Torch sums
        # losses in float32, whose rounding alone may be larger than what nine runs have drifted.
        allowed = np.maximum(2 * np.max(permuted_drift, axis=0), 2 * np.finfo(np.float32).eps)
        assert (np.max(drift, axis=0) <= allowed).all()


def permuted(state: TrainingState, generator: np.random.Generator) -> Floats:
    """The weights of the same function with every hidden layer's units in another order."""
    weights_P = state.weights.copy()
    layers = unflatten(weights_P, state.params, state.shape)
    for (weight, bias), (next_weight, _) in pairwise(layers):
        order = generator.permutation(len(bias))
        weight[:], bias[:], next_weight[:] = weight[order], bias[order], next_weight[:, order]
    return weights_P


def test_torch_engine_equals_linear_layers_under_adam(spiral_splits: Splits) -> None:
    state = init(TrialParams(2, 48, 3e-3, 50), Recipe(3), spiral_splits.shape, seed=1, trial=0)
    trained = advance(state, spiral_splits, 3, engine="torch")
    x, y = torch.tensor(spiral_splits.train_x), torch.tensor(spiral_splits.train_y, dtype=torch.int64)
    linear = [torch.nn.Linear(*size) for size in layer_sizes(state.params, state.shape)]
    model = torch.nn.Sequential(linear[0], torch.nn.ReLU(), linear[1], torch.nn.ReLU(), linear[2])
    arrays = [array for layer in unflatten(state.weights, state.params, state.shape) for array in layer]
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), arrays, strict=True):
            parameter.copy_(torch.tensor(array))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    steps = 3 * 20
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for epoch in range(3):
        losses = []
        for rows in np.split(batch_order(1, 0, epoch, 960), range(50, 960, 50)):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x[rows]), y[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
            losses.append(loss.item() * len(rows))
        assert_allclose(trained.history[epoch, 0], np.sum(losses) / 960, rtol=1e-5)
    flat = torch.cat([parameter.detach().flatten() for parameter in model.parameters()]).numpy()
    assert_allclose(trained.weights, flat, rtol=1e-4, atol=1e-5)
