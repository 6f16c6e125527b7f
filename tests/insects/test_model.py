from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from insects.mlp import Shape, initial_weights, logits, parameter_count
from insects.model import build_module
from insects.params import TrialParams

PARAMS, SHAPE = TrialParams(depth=3, width=21, lr=0.1, batch_size=4), Shape(features=2, classes=5)
MEAN, STD = np.array([3.0, -40.0], np.float32), np.array([0.5, 20.0], np.float32)


@pytest.mark.parametrize("rows", [1, 1000])
def test_the_module_takes_raw_rows_and_gives_the_networks_logits(rows: int) -> None:
    weights_P = initial_weights(PARAMS, SHAPE, np.random.default_rng(0))
    raw = np.random.default_rng(1).normal(MEAN, STD, (rows, 2)).astype(np.float32)
    with torch.no_grad():
        logits_NC = build_module(weights_P, PARAMS, SHAPE, MEAN, STD)(torch.tensor(raw)).numpy()
    expected = logits(weights_P, PARAMS, SHAPE, (raw - MEAN) / STD)
    assert logits_NC.dtype == np.float32
    assert_allclose(logits_NC, expected, rtol=1e-5, atol=1e-6)


def test_the_module_holds_the_flat_weights_and_the_standardization() -> None:
    weights_P = initial_weights(PARAMS, SHAPE, np.random.default_rng(0))
    module = build_module(weights_P, PARAMS, SHAPE, MEAN, STD)
    flat = torch.cat([parameter.detach().flatten() for parameter in module.parameters()]).numpy()
    assert_array_equal(flat, weights_P)
    assert_array_equal(module.state_dict()["mean"].numpy(), MEAN)
    assert_array_equal(module.state_dict()["std"].numpy(), STD)
    assert not module.training
    weights_P[:] = 0
    assert next(module.parameters()).abs().sum() > 0


def test_the_module_refuses_another_number_of_weights() -> None:
    with pytest.raises(ValueError, match=rf"found \({parameter_count(PARAMS, SHAPE) + 1},\)"):
        build_module(np.zeros(parameter_count(PARAMS, SHAPE) + 1, np.float32), PARAMS, SHAPE, MEAN, STD)
