"""A trained network as the `torch.nn.Module` that gets registered: raw features in, logits out."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from insects.mlp import Floats, Shape, layer_sizes, unflatten
from insects.params import TrialParams


class StandardizedMLP(nn.Module):
    """`(x - mean) / std`, then linear layers with ReLU between them.

    **Shape**: input `(N, F)` float32, raw rows; output `(N, C)` float32, logits.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, sizes: list[tuple[int, int]], mean_F: Floats, std_F: Floats) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean_F))
        self.register_buffer("std", torch.tensor(std_F))
        linear = [nn.Linear(inputs, outputs) for inputs, outputs in sizes]
        self.layers = nn.Sequential(*(step for layer in linear[:-1] for step in (layer, nn.ReLU())), linear[-1])

    def forward(self, x_NF: torch.Tensor) -> torch.Tensor:
        logits_NC: torch.Tensor = self.layers((x_NF - self.mean) / self.std)
        return logits_NC


def build_module(
    weights_P: Floats, params: TrialParams, shape: Shape, mean_F: Floats, std_F: Floats
) -> StandardizedMLP:
    """The network with these flat weights, in evaluation mode, its tensors in memory of their own.

    Args: mean_F, std_F: `(F,)` float32, what the training rows were standardized by.
    Raises: ValueError: the weights are not `insects.mlp.parameter_count(params, shape)` numbers.
    """
    module = StandardizedMLP(layer_sizes(params, shape), mean_F, std_F)
    arrays = [array for layer in unflatten(weights_P, params, shape) for array in layer]
    for parameter, array in zip(module.parameters(), arrays, strict=True):
        np.copyto(parameter.detach().numpy(), array)
    return module.eval()
