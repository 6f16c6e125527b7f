"""The network as numbers: layer sizes, the flat weight vector and the way in and out of it. Knows only numpy.

A network has `depth` hidden layers of `width` units with ReLU, and a linear layer to one logit a class.
The flat vector holds, layer by layer, the weight matrix `(out, in)` in row-major order and then the bias `(out,)`:
the order of `torch.nn.Module.parameters()`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insects.params import TrialParams

Floats = NDArray[np.float32]

_AT_ONCE = 1 << 26
"""Most numbers of a hidden layer's output, 256 MB."""


@dataclass(frozen=True)
class Shape:
    """What the data fixes of a network: columns in (`features`) and classes out (`classes`)."""

    features: int
    classes: int


def layer_sizes(params: TrialParams, shape: Shape) -> list[tuple[int, int]]:
    """`(inputs, outputs)` of every linear layer, from the input to the logits."""
    widths = [shape.features] + [params.width] * params.depth + [shape.classes]
    return list(itertools.pairwise(widths))


def parameter_count(params: TrialParams, shape: Shape) -> int:
    """Weights and biases of the network.

    Examples:
        >>> parameter_count(TrialParams(depth=3, width=5, lr=0.1, batch_size=1), Shape(features=5, classes=3))
        108
    """
    return sum((inputs + 1) * outputs for inputs, outputs in layer_sizes(params, shape))


def unflatten(weights_P: Floats, params: TrialParams, shape: Shape) -> list[tuple[Floats, Floats]]:
    """Views `(weight (out, in), bias (out,))` of each layer into the flat vector `(P,)`.

    Raises: ValueError: the vector is not of `parameter_count(params, shape)` numbers.
    """
    if weights_P.shape != (parameter_count(params, shape),):
        raise ValueError(f"weights must have shape ({parameter_count(params, shape)},), found {weights_P.shape}")
    layers, start = [], 0
    for inputs, outputs in layer_sizes(params, shape):
        middle, end = start + inputs * outputs, start + (inputs + 1) * outputs
        layers.append((weights_P[start:middle].reshape(outputs, inputs), weights_P[middle:end]))
        start = end
    return layers


def initial_weights(params: TrialParams, shape: Shape, generator: np.random.Generator) -> Floats:
    """Flat weights `(P,)` drawn as `torch.nn.Linear` draws them: uniform in ±1/sqrt(inputs), bias included."""
    weights_P = generator.random(parameter_count(params, shape), dtype=np.float32) * np.float32(2) - np.float32(1)
    for (inputs, _), (weight, bias) in zip(
        layer_sizes(params, shape), unflatten(weights_P, params, shape), strict=True
    ):
        bound = np.float32(1 / np.sqrt(inputs))
        weight *= bound
        bias *= bound
    return weights_P


def logits(weights_P: Floats, params: TrialParams, shape: Shape, x_NF: Floats) -> Floats:
    """Logits `(N, C)` of standardized rows `(N, F)`, some at a time where a hidden layer of them would be large."""
    at_once = max(1, _AT_ONCE // params.width)
    if len(x_NF) > at_once:
        starts = range(0, len(x_NF), at_once)
        return np.concatenate([logits(weights_P, params, shape, x_NF[start : start + at_once]) for start in starts])
    layers = unflatten(weights_P, params, shape)
    hidden = x_NF
    for weight, bias in layers[:-1]:
        hidden = np.maximum(hidden @ weight.T + bias, np.float32(0))
    weight, bias = layers[-1]
    return np.asarray(hidden @ weight.T + bias, dtype=np.float32)
