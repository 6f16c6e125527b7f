"""The MLP in NumPy: layer sizes, the flat weight vector, initial weights and the forward pass.

A network has `depth` hidden layers of `width` units with ReLU, and a linear layer to one logit per class. With depth 0
it is that linear layer alone: softmax regression.
The flat vector `(P,)` holds, layer after layer, the weight matrix `(out, in)` in row-major order and then the bias
`(out,)`: the order of `torch.nn.Module.parameters()`.

Shapes: N rows, F features, C classes, P parameters.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insects.params import TrialParams

Floats = NDArray[np.float32]

_HIDDEN_NUMBERS = 1 << 26
"""Numbers of a hidden layer's output that are computed at a time: 256 MB."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a network that follow from the data.

    Attributes:
        features: Input columns.
        classes: Output classes.
    """

    features: int
    classes: int


def layer_sizes(params: TrialParams, shape: Shape) -> list[tuple[int, int]]:
    """Sizes of the linear layers.

    Args:
        params: Depth and width of the network.
        shape: Features and classes of the data.

    Returns:
        `(inputs, outputs)` of each layer, from the input to the logits.
    """
    widths = [shape.features] + [params.width] * params.depth + [shape.classes]
    return list(itertools.pairwise(widths))


def parameter_count(params: TrialParams, shape: Shape) -> int:
    """Number of weights and biases.

    Args:
        params: Depth and width of the network.
        shape: Features and classes of the data.

    Returns:
        P, the length of the flat vector.

    Examples:
        >>> parameter_count(TrialParams(depth=3, width=5, lr=0.1, batch_size=1), Shape(features=5, classes=3))
        108
        >>> parameter_count(TrialParams(depth=0, width=5, lr=0.1, batch_size=1), Shape(features=5, classes=3))
        18
    """
    return sum((inputs + 1) * outputs for inputs, outputs in layer_sizes(params, shape))


def unflatten(weights_P: Floats, params: TrialParams, shape: Shape) -> list[tuple[Floats, Floats]]:
    """Views of each layer into the flat vector.

    Args:
        weights_P: `(P,)`, the flat vector.
        params: Depth and width of the network.
        shape: Features and classes of the data.

    Returns:
        `(weight (out, in), bias (out,))` of each layer.

    Raises:
        ValueError: The vector has not `parameter_count(params, shape)` numbers.
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
    """Draw weights and biases with the distribution of `torch.nn.Linear`: uniform in ±1/sqrt(inputs).

    Args:
        params: Depth and width of the network.
        shape: Features and classes of the data.
        generator: Source of the random numbers.

    Returns:
        The flat vector `(P,)`.
    """
    weights_P = generator.random(parameter_count(params, shape), dtype=np.float32) * np.float32(2) - np.float32(1)
    for (inputs, _), (weight, bias) in zip(
        layer_sizes(params, shape), unflatten(weights_P, params, shape), strict=True
    ):
        bound = np.float32(1 / np.sqrt(inputs))
        weight *= bound  # in place: weight and bias are views of weights_P
        bias *= bound
    return weights_P


def mean_logits(weights: Sequence[Floats], params: TrialParams, shape: Shape, x_NF: Floats) -> Floats:
    """Logits of one network, or the logarithm of the mean of several networks' probabilities.

    Args:
        weights: `(P,)`, the flat vector of each network.
        params: Depth and width of the networks.
        shape: Features and classes of the data.
        x_NF: `(N, F)` float32, standardized rows.

    Returns:
        `(N, C)` float32.
    """
    each = [logits(flat, params, shape, x_NF) for flat in weights]
    if len(each) == 1:
        return each[0]
    log_share_MNC = np.stack(each).astype(np.float64)
    log_share_MNC -= log_share_MNC.max(axis=2, keepdims=True)  # exp overflows from 710 on
    log_share_MNC -= np.log(np.exp(log_share_MNC).sum(axis=2, keepdims=True))
    largest_NC = log_share_MNC.max(axis=0)
    mean_NC: Floats = (largest_NC + np.log(np.exp(log_share_MNC - largest_NC).mean(axis=0))).astype(np.float32)
    return mean_NC


def logits(weights_P: Floats, params: TrialParams, shape: Shape, x_NF: Floats) -> Floats:
    """Forward pass, in blocks of rows where a hidden layer of all rows would be large.

    Args:
        weights_P: `(P,)`, the flat vector.
        params: Depth and width of the network.
        shape: Features and classes of the data.
        x_NF: `(N, F)` float32, standardized rows.

    Returns:
        `(N, C)` float32 logits.
    """
    at_once = max(1, _HIDDEN_NUMBERS // params.width)
    if len(x_NF) > at_once:
        starts = range(0, len(x_NF), at_once)
        return np.concatenate([logits(weights_P, params, shape, x_NF[start : start + at_once]) for start in starts])
    layers = unflatten(weights_P, params, shape)
    hidden = x_NF
    for weight, bias in layers[:-1]:
        hidden = np.maximum(hidden @ weight.T + bias, np.float32(0))  # (N, width)
    weight, bias = layers[-1]
    return np.asarray(hidden @ weight.T + bias, dtype=np.float32)
