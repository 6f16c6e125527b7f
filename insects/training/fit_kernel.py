"""Epochs of training with weighted rows, an L2 penalty and a stop when nothing improves, in one compiled call.

The kernel of `insects.estimator`, from the parts of `insects.training.kernel`: see there for shapes and layouts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from insects.training import tiles
from insects.training.cache import cached
from insects.training.kernel import (
    EVALUATED_AT_ONCE,
    INPUTS_A_TILE,
    LANES,
    PANEL,
    SOURCES,
    WIDTH,
    Buffers,
    Net,
    Schedule,
    forward,
    gather,
    inlined,
    input_gradient,
    prefetch_rows,
    softmax_row,
)
from insects.training.processor import flush_denormals, restore_denormals
from insects.training.tiles import TILE_ROWS

_update, _sum_of_squares = tiles.regularized_update(LANES), tiles.sum_of_squares(LANES)


class Rows(NamedTuple):
    """Rows with weights.

    Attributes:
        x: float32, the inputs `(N, F)`, flat.
        y: `(N,)` int32, class numbers.
        weights: `(N,)` float32, what each row counts.
    """

    x: Any
    y: Any
    weights: Any


class Adam(NamedTuple):
    """Constants of the optimizer, all float32.

    Attributes:
        beta1: Decay of the first moment.
        gradient_rate: (1 - beta1) / sqrt(1 - beta2).
        beta2: Decay of the second moment.
        gradient_scale: sqrt(1 - beta2).
        penalty: Factor of the L2 penalty.
    """

    beta1: Any
    gradient_rate: Any
    beta2: Any
    gradient_scale: Any
    penalty: Any


class Stopping(NamedTuple):
    """When training ends before its last epoch.

    Attributes:
        tolerance: float64, by how much an epoch must be better than the best one before.
        patience: float64, epochs in a row that may be worse.
        progress: `(2,)` float64, kept between calls: the best objective, and the number of epochs in a row so far. The
            objective is the training loss; with validation rows it is minus their accuracy.
    """

    tolerance: Any
    patience: Any
    progress: Any


@inlined
def _load_batch(net: Net, x: Any, rows: Rows, order: Any, first: int, end: int, size: int) -> Any:
    """Copy the batch that begins at `order[first]` to `x`, and prefetch the one behind it; return its rows."""
    batch = min(size, end - first)
    following = first + batch
    prefetch_rows(net.inputs[0], rows.x, rows.y, order, following, min(size, end - following))
    gather(x, net.inputs[0], rows.x, order, first, batch)
    return batch


@inlined
def _weight_sum(rows: Rows, order: Any, first: int, batch: int) -> Any:
    total = 0.0
    for row in range(batch):
        total += rows.weights[order[first + row]]
    return total


@inlined
def _softmax(net: Net, x: Any, rows: Rows, order: Any, first: int, batch: int, scale: Any, is_logistic: bool) -> Any:
    """Replace the logits `(B, C)` by their gradients times `scale` and the weight of their row.

    Returns:
        The weighted sums of cross entropy and of hits.
    """
    z0, z_row, vectors = net.rows[-1], net.stride[-1], net.outputs[-1] // WIDTH
    loss = hits = 0.0
    for row in range(batch):
        place = order[first + row]
        label, weight = rows.y[place], rows.weights[place]
        row_loss, hit = softmax_row(x, z0 + row * z_row, net.classes, vectors, label, scale * weight)
        if is_logistic:
            x[z0 + row * z_row] = 0.0
        loss += row_loss * weight
        hits += hit * weight
    return loss, hits


@inlined
def _squares(net: Net) -> Any:
    """The sum of squares of all weights without the biases."""
    total = 0.0
    for layer in range(len(net.inputs)):
        total += _sum_of_squares(net.w, net.first[layer], net.inputs[layer] * net.outputs[layer] // WIDTH)
    return total


@inlined
def _backward(
    net: Net, buffers: Buffers, batch: int, adam: Adam, step_size: Any, epsilon: Any, decay: Any
) -> None:  # fmt: skip
    """`kernel._backward` with other constants of Adam and a penalty, which the biases do not have.

    It is written out again: with the update as an argument, numba counts references in the innermost loop, which made
    small networks of the search slower.
    """
    layers, w, m, v = len(net.inputs), net.w, net.m, net.v
    dz, dz0, dz_row = buffers.x, net.rows[layers], net.stride[layers]
    for layer in range(layers - 1, -1, -1):
        inputs, outputs = net.inputs[layer], net.outputs[layer]
        dx0 = (layer % 2) * (len(buffers.dx) // 2)  # the other half holds `dz`, the gradient from the layer above
        i = 0
        while i <= inputs:
            rows = TILE_ROWS if i + TILE_ROWS <= inputs else 1
            w0 = net.first[layer] + i * outputs
            # Before the update: the gradient is that of the old weights. Nothing needs that of the data (layer 0).
            if layer > 0 and i < inputs and i % TILE_ROWS == 0:
                # dx[B, four inputs] = dz[B, O] @ w[four inputs, O].T, where the input is positive (ReLU)
                for j in range(0, TILE_ROWS, INPUTS_A_TILE):
                    for row in range(0, batch, TILE_ROWS):
                        at = row * net.stride[layer] + i + j
                        input_gradient(
                            buffers.dx, dx0 + at, buffers.x, net.rows[layer] + at, net.stride[layer],
                            dz, dz0 + row * dz_row, dz_row, w, w0 + j * outputs, outputs, outputs // WIDTH,
                        )  # fmt: skip
            # The bias's input is 1.0 for each row of the batch, so it is read with a stride of 0.
            x0, x_row = (net.rows[layer] + i, net.stride[layer]) if i < inputs else (len(buffers.x) - 1, 0)
            # w -= Adam's step for x[B, rows].T @ dz[B, O]
            for column in range(0, outputs, PANEL * WIDTH):
                vectors, at = min(PANEL, (outputs - column) // WIDTH), w0 + column
                _update(
                    rows, vectors, w, at, m, at, v, at, outputs, buffers.x, x0, x_row,
                    dz, dz0 + column, dz_row, batch, step_size, epsilon,
                    adam.beta1, adam.gradient_rate, adam.beta2, decay if i < inputs else np.float32(0),
                )  # fmt: skip
            i += rows
        dz, dz0, dz_row = buffers.dx, dx0, net.stride[layer]


def _fit(
    net: Net, buffers: Buffers, schedule: Schedule, adam: Adam, stopping: Stopping, is_logistic: bool,
    batch_size: int, train: Rows, order: Any, valid: Rows, valid_order: Any, history: Any, best_w: Any,
) -> Any:  # fmt: skip
    """Train `len(history)` epochs unless nothing improves or the loss is not finite; changes `net`.

    A batch whose weights are all 0 is left out.

    Args:
        schedule: Adam's constants of each step, as `tiles.regularized_update` takes them.
        is_logistic: The first of two logits is always 0: its weights are zeros, and stay so.
        order: `(epochs * N,)` int32, the order of the training rows in each epoch.
        valid: Validation rows, or none.
        valid_order: `(V,)` int32, all validation rows in their order.
        history: `(epochs, 2)` float64, filled for each epoch done with the training loss, penalty included, and the
            accuracy on the validation rows.
        best_w: Filled with the weights after the best epoch if there are validation rows.

    Returns:
        The epochs done, and whether nothing improved for too long.
    """
    mode = flush_denormals()
    epoch = step = 0
    is_over = False
    rows = len(train.y)
    while epoch < len(history) and not is_over:
        loss, first, end = 0.0, epoch * rows, (epoch + 1) * rows
        while first < end:
            batch = _load_batch(net, buffers.x, train, order, first, end, batch_size)
            weight = _weight_sum(train, order, first, batch)
            if weight > 0:
                forward(net, buffers.x, batch)
                scale = np.float32(adam.gradient_scale / weight)
                batch_loss, _ = _softmax(net, buffers.x, train, order, first, batch, scale, is_logistic)
                if adam.penalty > 0:
                    batch_loss += 0.5 * adam.penalty * _squares(net)
                loss += batch_loss * (batch / weight)
                decay = adam.penalty * scale
                _backward(net, buffers, batch, adam, schedule.step_size[step], schedule.epsilon[step], decay)
            step += 1
            first += batch
        history[epoch, 0] = objective = loss / rows
        if len(valid.y) > 0:
            hits = weights = 0.0
            first = 0
            while first < len(valid.y):
                batch = _load_batch(net, buffers.x, valid, valid_order, first, len(valid.y), EVALUATED_AT_ONCE)
                forward(net, buffers.x, batch)
                _, batch_hits = _softmax(net, buffers.x, valid, valid_order, first, batch, np.float32(1), is_logistic)
                hits += batch_hits
                weights += _weight_sum(valid, valid_order, first, batch)
                first += batch
            history[epoch, 1] = hits / weights
            objective = -history[epoch, 1]
        if objective > stopping.progress[0] - stopping.tolerance:
            stopping.progress[1] += 1
        else:
            stopping.progress[1] = 0
        if objective < stopping.progress[0]:
            stopping.progress[0] = objective
            if len(valid.y) > 0:
                best_w[:] = net.w
        epoch += 1
        is_over = stopping.progress[1] > stopping.patience or not np.isfinite(loss)
    restore_denormals(mode)
    return epoch, is_over


fit = cached(njit(nogil=True)(_fit), [*SOURCES, Path(__file__)])
