"""A trained network as a `torch.nn.Module` that takes rows as the user has them."""

from __future__ import annotations

import torch

from insects.mlp import Floats, Shape, layer_sizes, unflatten
from insects.params import TrialParams


class StandardizedMLP(torch.nn.Module):
    """`(x - mean) / std`, then linear layers with ReLU between them.

    Shape: `(N, F)` float32 raw rows to `(N, C)` float32 logits.
    """

    def __init__(self, params: TrialParams, shape: Shape, mean: Floats, std: Floats) -> None:
        super().__init__()
        self.mean: torch.Tensor
        self.std: torch.Tensor
        self.register_buffer("mean", torch.from_numpy(mean.copy()))
        self.register_buffer("std", torch.from_numpy(std.copy()))
        self.layers = torch.nn.Sequential(*(torch.nn.Linear(*size) for size in layer_sizes(params, shape)))

    def forward(self, x_NF: torch.Tensor) -> torch.Tensor:
        """Logits of raw rows."""
        hidden = (x_NF - self.mean) / self.std
        for layer in self.layers[:-1]:
            hidden = torch.relu(layer(hidden))
        logits_NC: torch.Tensor = self.layers[-1](hidden)
        return logits_NC


def build_module(weights_P: Floats, params: TrialParams, shape: Shape, mean: Floats, std: Floats) -> StandardizedMLP:
    """The network of the flat weights `(P,)`, with the standardization `(F,)` it was trained under."""
    module = StandardizedMLP(params, shape, mean, std)
    with torch.no_grad():
        values = [array for layer in unflatten(weights_P, params, shape) for array in layer]
        for parameter, value in zip(module.parameters(), values, strict=True):
            parameter.copy_(torch.from_numpy(value.copy()))
    return module
