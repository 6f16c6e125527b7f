"""The MLP in NumPy: sizes, the flat weight vector, initial weights, logits equal to torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from insects import mlp
from insects.mlp import Shape, initial_weights, layer_sizes, logits, parameter_count, unflatten
from insects.model import build_module
from insects.params import TrialParams
from tests.support.encoders import plain_encoder

PARAMS, SHAPE = TrialParams(depth=2, width=7, lr=0.1, batch_size=1), Shape(features=3, classes=4)


def test_network_of_5_5_5_5_3_units_has_108_parameters() -> None:
    params, shape = TrialParams(depth=3, width=5, lr=0.1, batch_size=1), Shape(features=5, classes=3)
    assert parameter_count(params, shape) == 108
    assert layer_sizes(params, shape) == [(5, 5), (5, 5), (5, 5), (5, 3)]


def test_network_without_hidden_layers_is_one_linear_layer_of_any_width() -> None:
    x_NF = np.random.default_rng(2).normal(size=(9, 3)).astype(np.float32)
    weights_P = np.random.default_rng(1).normal(size=16).astype(np.float32)
    for width in (1, 7):
        params = TrialParams(depth=0, width=width, lr=0.1, batch_size=1)
        assert layer_sizes(params, SHAPE) == [(3, 4)]
        expected = x_NF @ weights_P[:12].reshape(4, 3).T + weights_P[12:]
        assert_allclose(logits(weights_P, params, SHAPE, x_NF), expected, rtol=1e-6)
        with torch.no_grad():
            by_torch = build_module([weights_P], params, SHAPE, plain_encoder("abc"))(torch.tensor(x_NF)).numpy()
        assert_allclose(by_torch, expected, rtol=1e-5, atol=1e-6)


def test_unflatten_gives_views_in_the_order_of_torchs_parameters() -> None:
    flat_P = np.arange(parameter_count(PARAMS, SHAPE), dtype=np.float32)
    layers = unflatten(flat_P, PARAMS, SHAPE)
    assert [(weight.shape, bias.shape) for weight, bias in layers] == [((7, 3), (7,)), ((7, 7), (7,)), ((4, 7), (4,))]
    assert_array_equal(np.concatenate([part.ravel() for layer in layers for part in layer]), flat_P)
    layers[0][1][0] = -1
    assert flat_P[21] == -1


def test_unflatten_refuses_another_number_of_weights() -> None:
    with pytest.raises(ValueError, match=r"weights must have shape \(116,\), found \(115,\)"):
        unflatten(np.zeros(115, np.float32), PARAMS, SHAPE)


def test_initial_weights_are_uniform_in_torchs_bounds() -> None:
    params, shape = TrialParams(depth=2, width=100, lr=0.1, batch_size=1), Shape(features=4, classes=50)
    layers = unflatten(initial_weights(params, shape, np.random.default_rng(0)), params, shape)
    for (weight, bias), inputs in zip(layers, (4, 100, 100), strict=True):
        bound = 1 / np.sqrt(inputs)
        assert max(np.abs(weight).max(), np.abs(bias).max()) <= np.float32(bound)
        assert_allclose(weight.std(), bound / np.sqrt(3), rtol=0.1)
        assert_allclose([bias.min(), bias.max()], [-bound, bound], rtol=0.2)


@pytest.mark.parametrize("numbers", [1 << 26, 28])
def test_logits_equal_those_of_torchs_linear_layers_with_relu(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlp, "_HIDDEN_NUMBERS", numbers)  # all rows at a time, or four
    weights_P = initial_weights(PARAMS, SHAPE, np.random.default_rng(1))
    x_NF = np.random.default_rng(2).normal(size=(9, 3)).astype(np.float32)
    with torch.no_grad():
        expected = build_module([weights_P], PARAMS, SHAPE, plain_encoder("abc"))(torch.tensor(x_NF)).numpy()
    assert_allclose(logits(weights_P, PARAMS, SHAPE, x_NF), expected, rtol=1e-5, atol=1e-6)
