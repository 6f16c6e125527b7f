"""Training for `insects.estimator`: a network of layers of any widths, with scikit-learn's loss and stopping rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats
from insects.training import fit_kernel, kernel
from insects.training.packing import Packing

Layers = list[tuple[Floats, Floats]]
"""The coefficients `(inputs, outputs)` and intercepts `(outputs,)` of each layer."""


@dataclass(frozen=True)
class FitSettings:
    """How a network is trained.

    Attributes:
        learning_rate: Adam's learning rate at the first step, above 0.
        decay_epochs: Epochs after which a cosine has taken the learning rate to 0; None: it is constant.
        batch_size: Rows of a step.
        alpha: Factor of the L2 penalty, at least 0.
        beta_1: Decay of Adam's first moment, in [0, 1).
        beta_2: Decay of Adam's second moment, in [0, 1).
        epsilon: What Adam adds to the root of the second moment, above 0.
        tol: By how much an epoch must be better than the best one before.
        patience: Epochs in a row that may be worse.
    """

    learning_rate: float
    decay_epochs: int | None
    batch_size: int
    alpha: float
    beta_1: float
    beta_2: float
    epsilon: float
    tol: float
    patience: float


@dataclass
class FitState:
    """What training changes. A network for two classes has one output, the log-odds of the second.

    Attributes:
        layers: The weights.
        best: The weights after the epoch with the highest validation accuracy.
        first_moment: Adam's moving mean of the gradients.
        second_moment: Adam's moving mean of their squares.
        step: Steps of Adam since these moments were 0.
        progress: `(2,)` float64; see `insects.training.fit_kernel.Stopping`.
    """

    layers: Layers
    best: Layers
    first_moment: Layers
    second_moment: Layers
    step: int
    progress: NDArray[np.float64]

    def forget_moments(self) -> None:
        """Set Adam back to its beginning."""
        self.first_moment, self.second_moment, self.step = _zeros(self.layers), _zeros(self.layers), 0

    def forget_progress(self) -> None:
        """Set the stopping rule back to its beginning."""
        self.best, self.progress = self.layers, np.array([np.inf, 0.0])


def begin(layers: Layers) -> FitState:
    """The state before the first epoch, with these weights."""
    zeros = _zeros(layers)
    return FitState(layers, layers, zeros, zeros, 0, np.array([np.inf, 0.0]))


@dataclass(frozen=True)
class WeightedRows:
    """Rows of a fit.

    Attributes:
        x: `(N, F)` float32.
        y: `(N,)` int32, class numbers.
        weights: `(N,)` float32, at least 0.
    """

    x: Floats
    y: NDArray[np.int32]
    weights: Floats

    def take(self, places: Any) -> WeightedRows:
        """The rows at these places."""
        return WeightedRows(self.x[places], self.y[places], self.weights[places])

    def for_kernel(self) -> fit_kernel.Rows:
        """The rows as the kernel takes them."""
        # Writable, because the kernel is compiled for writable arrays only, though it does not write these.
        kinds = (self.x, np.float32), (self.y, np.int32), (self.weights, np.float32)
        return fit_kernel.Rows(*(np.require(array, kind, ["C", "A", "W"]).reshape(-1) for array, kind in kinds))


class FitRun:
    """The training of one call of `fit` or `partial_fit`.

    Args:
        state: Where to start; changed by `write_back`.
        settings: How it is trained.
        train: Training rows.
        valid: Validation rows; there may be none.
    """

    def __init__(self, state: FitState, settings: FitSettings, train: WeightedRows, valid: WeightedRows) -> None:
        self._state, self._settings = state, settings
        self._is_logistic = len(state.layers[-1][1]) == 1
        widths = [train.x.shape[1], *(len(intercept) for _, intercept in state.layers)]
        widths[-1] += self._is_logistic  # a softmax whose first logit is always 0
        self._packing = Packing(list(pairwise(widths)), max(settings.batch_size, kernel.EVALUATED_AT_ONCE))
        packed = [
            self._packing.pack(self._torch_layers(layers), place)
            for place, layers in enumerate((state.layers, state.first_moment, state.second_moment))
        ]
        self._net, self._buffers = self._packing.net(*packed), self._packing.buffers()
        self._best = self._packing.pack(self._torch_layers(state.best))
        self._train, self._valid = train.for_kernel(), valid.for_kernel()
        self._valid_order = np.arange(len(valid.y), dtype=np.int32)
        self._steps = -(-len(train.y) // settings.batch_size)
        scale = math.sqrt(1 - settings.beta_2)
        numbers = settings.beta_1, (1 - settings.beta_1) / scale, settings.beta_2, scale, settings.alpha
        self._adam = fit_kernel.Adam(*(np.float32(number) for number in numbers))
        self._stopping = fit_kernel.Stopping(float(settings.tol), float(settings.patience), state.progress)

    def epochs(self, order: Sequence[NDArray[np.int32]]) -> tuple[NDArray[np.float64], bool]:
        """Train up to an epoch for each order of the rows.

        Args:
            order: Permutations of the training rows.

        Returns:
            `(epochs done, 2)`, the loss and the accuracy on the validation rows; and whether training is over: nothing
            improved for too long, or the loss is not finite.
        """
        history = np.zeros((len(order), 2))
        schedule = self._schedule(len(order) * self._steps)
        done, is_over = fit_kernel.fit(
            self._net, self._buffers, schedule, self._adam, self._stopping, self._is_logistic,
            self._settings.batch_size, self._train, np.concatenate(order), self._valid, self._valid_order, history,
            self._best,
        )  # fmt: skip
        self._state.step += done * self._steps
        return history[:done], is_over

    def _schedule(self, count: int) -> kernel.Schedule:
        """Adam's constants of the next steps: Kingma and Ba, arXiv:1412.6980, the end of section 2."""
        settings = self._settings
        step = np.arange(self._state.step, self._state.step + count, dtype=np.float64)
        size = settings.learning_rate * np.sqrt(1 - settings.beta_2 ** (step + 1)) / (1 - settings.beta_1 ** (step + 1))
        if settings.decay_epochs is not None:
            size *= 0.5 * (1 + np.cos(np.pi * step / (settings.decay_epochs * self._steps)))
        return kernel.Schedule(size.astype(np.float32), np.full(count, settings.epsilon, np.float32))

    def write_back(self, best: bool) -> None:
        """Write weights and moments to the state.

        Args:
            best: Take the weights of the best epoch, not those of the last one.
        """
        state, net = self._state, self._net
        state.best = self._layers(self._best)
        state.layers = state.best if best else self._layers(net.w)
        state.first_moment, state.second_moment = self._layers(net.m), self._layers(net.v)

    def _torch_layers(self, layers: Layers) -> Layers:
        """Weights `(outputs, inputs)` and biases; with an output of zeros before a single one."""
        weights = [(coef.T, intercept) for coef, intercept in layers]
        if self._is_logistic:
            weight, bias = weights[-1]
            weights[-1] = np.vstack([np.zeros_like(weight), weight]), np.append(np.float32(0), bias)
        return weights

    def _layers(self, packed: Floats) -> Layers:
        weights = self._torch_layers(_zeros(self._state.layers))
        self._packing.unpack(packed, weights)
        if self._is_logistic:
            weights[-1] = weights[-1][0][1:], weights[-1][1][1:]
        return [(np.ascontiguousarray(weight.T), bias.copy()) for weight, bias in weights]


def _zeros(layers: Layers) -> Layers:
    return [(np.zeros_like(coef), np.zeros_like(intercept)) for coef, intercept in layers]
