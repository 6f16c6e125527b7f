"""Whole epochs of training in one compiled call that releases the GIL: the loops around the register tiles.

    B  rows of a batch        N  training rows        V  validation rows        F  features        C  classes
    L  layers                 I  inputs of a layer    O  outputs of a layer, padded with zeros to whole vectors

Every array is flat. The weights of a layer are `(I + 1, O)` with the bias as the last row. Zero weights with zero
gradients stay zero under Adam, so padding needs no mask. Rows of a batch are taken four at a time; rows behind the
batch's last one are computed too, and nothing reads them.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from insects.training import numba_internals, processor, softmax, tiles, vectors
from insects.training.cache import cached
from insects.training.processor import flush_denormals, prefetch, restore_denormals
from insects.training.tiles import TILE_ROWS

LANES = processor.host_lanes()
WIDTH, PANEL = LANES.count, LANES.panel
GRADIENT_SCALE = np.float32(tiles.GRADIENT_SCALE)
INPUTS_A_TILE = WIDTH // TILE_ROWS
EVALUATED_AT_ONCE = 64
CACHE_LINE = 16  # floats

_affine, _update = tiles.affine(LANES), tiles.update(LANES)
input_gradient, softmax_row = tiles.input_gradient(LANES), softmax.softmax_row(LANES)

RUNNING, PRUNED, DIVERGED, INTERRUPTED = range(4)

# An edit of any of these files compiles the kernel anew.
_MODULES = (sys.modules[__name__], numba_internals, processor, softmax, tiles, vectors)
SOURCES = [Path(inspect.getfile(module)) for module in _MODULES]
inlined = njit(nogil=True, inline="always")


def _compiled(function: Any) -> Any:
    return cached(njit(nogil=True)(function), SOURCES)


class Net(NamedTuple):
    """A network's packed weights and the places of its layers.

    Attributes:
        w: float32, the packed weights of all layers.
        m: Adam's first moment of `w`.
        v: Adam's second moment of `w`.
        first: `(L,)` int64, where the weights of each layer begin in `w`.
        inputs: `(L,)` int64, I of each layer.
        outputs: `(L,)` int64, O of each layer.
        rows: `(L + 1,)` int64, where the inputs of each layer begin in `Buffers.x`; the last is of the logits.
        stride: `(L + 1,)` int64, floats from one row of these inputs to the next.
        classes: C.
    """

    w: Any
    m: Any
    v: Any
    first: Any
    inputs: Any
    outputs: Any
    rows: Any
    stride: Any
    classes: int


class Buffers(NamedTuple):
    """Buffers for the computations on one batch.

    Attributes:
        x: float32, the activations of all layers, and as its last element 1.0, the input of every bias.
        dx: float32, the gradients of two layers' inputs.
    """

    x: Any
    dx: Any


class Schedule(NamedTuple):
    """Adam's constants of each step, as `tiles.update` takes them.

    Attributes:
        step_size: `(steps,)` float32.
        epsilon: `(steps,)` float32.
    """

    step_size: Any
    epsilon: Any


@inlined
def gather(x: Any, features: int, table: Any, order: Any, first: int, count: int) -> None:
    """Copy the rows `order[first : first + count]` of the table `(N, F)` to the beginning of `x`, `(B, F)`."""
    for row in range(count):
        source, target = order[first + row] * features, row * features
        for j in range(features):
            x[target + j] = table[source + j]


@inlined
def prefetch_rows(features: int, table: Any, labels: Any, order: Any, first: int, count: int) -> None:
    """Begin to load the rows of the next batch: in a big table they lie far apart, and memory is 100 ns away."""
    for row in range(count):
        prefetch(labels, order[first + row])
        begin = order[first + row] * features
        for line in range(begin, begin + features, CACHE_LINE):
            prefetch(table, line)
        prefetch(table, begin + features - 1)


@inlined
def forward(net: Net, x: Any, batch: int) -> None:
    """Compute the activations of every layer `(B, O)`, and the logits."""
    layers = len(net.inputs)
    for layer in range(layers):
        floor = np.float32(0) if layer < layers - 1 else np.float32(-np.inf)  # ReLU, but not on the logits
        inputs, outputs = net.inputs[layer], net.outputs[layer]
        x_row, z_row = net.stride[layer], net.stride[layer + 1]
        # z = max(floor, x @ w + bias), a tile of four rows and up to PANEL vectors of outputs at a time
        for column in range(0, outputs, PANEL * WIDTH):
            vectors = min(PANEL, (outputs - column) // WIDTH)
            z0, w0 = net.rows[layer + 1] + column, net.first[layer] + column
            for row in range(0, batch, TILE_ROWS):
                x0 = net.rows[layer] + row * x_row
                _affine(vectors, x, z0 + row * z_row, z_row, x, x0, x_row, net.w, w0, outputs, inputs, floor)


@inlined
def _copy_logits(net: Net, x: Any, batch: int, logits: Any, first: int) -> None:
    """Copy the logits `(B, C)`, padded to `(B, O)`, to the rows from `first` on of `logits`, `(V, C)`."""
    for row in range(batch):
        source, target = net.rows[-1] + row * net.stride[-1], (first + row) * net.classes
        for j in range(net.classes):
            logits[target + j] = x[source + j]


@inlined
def _softmax(
    net: Net, x: Any, labels: Any, class_weights: Any, order: Any, first: int, batch: int, scale: Any
) -> Any:  # fmt: skip
    """Replace the logits `(B, C)` by their gradients times `scale` and the weight of their row's class.

    Returns:
        The sums of weighted cross entropy and of hits.
    """
    z0, z_row, vectors = net.rows[-1], net.stride[-1], net.outputs[-1] // WIDTH
    loss = hits = 0.0
    for row in range(batch):
        label = labels[order[first + row]]
        weight = class_weights[label]
        row_loss, hit = softmax_row(x, z0 + row * z_row, net.classes, vectors, label, scale * weight)
        loss += row_loss * weight
        hits += hit
    return loss, hits


@inlined
def _backward(net: Net, buffers: Buffers, batch: int, step_size: Any, epsilon: Any) -> None:
    """Backpropagate from the logits' gradients, and update every layer by Adam's step on the way.

    The rows of a layer's weights are taken in blocks of four, the last few and the bias one by one. A block first adds
    to the gradient of the layer's inputs and is then updated, while it is in the cache.
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
                )  # fmt: skip
            i += rows
        dz, dz0, dz_row = buffers.dx, dx0, net.stride[layer]


@_compiled
def train(
    net: Net, buffers: Buffers, schedule: Schedule, class_weights: Any, batch_size: int, train_x: Any, train_y: Any,
    order: Any, valid_x: Any, valid_y: Any, valid_order: Any, valid_logits: Any, prune_above: Any, history: Any,
    best_loss: float, best_w: Any, interrupt: Any, row_count: Any,
) -> Any:  # fmt: skip
    """Train `len(prune_above)` epochs unless the trial ends earlier; changes `net`.

    Args:
        class_weights: `(C,)` float32, what a row of each class counts.
        order: `(epochs * N,)` int32, the order of the training rows in each epoch.
        valid_order: `(V,)` int32, all validation rows in their order.
        valid_logits: `(V * C,)` float32, filled with the logits of the validation rows after the last epoch; empty:
            they are not wanted.
        prune_above: `(epochs,)` float64, thresholds of the lowest validation loss so far.
        history: `(epochs, 4)` float64, filled with a row for each epoch done.
        best_loss: The lowest validation loss of the epochs before.
        best_w: Filled with the weights after the best of these epochs, if it is below `best_loss`.
        interrupt: `(1,)` uint8; training ends soon after it is set to 1.
        row_count: `(1,)` int64; the training rows done are added, batch by batch, for other threads to read.

    Returns:
        The epochs done, the status, and the epoch (from 0) with the lowest loss, or -1 if none is below `best_loss`.
    """
    mode = flush_denormals()
    best, status, epoch, step = -1, RUNNING, 0, 0
    while epoch < len(prune_above) and status == RUNNING:
        for learn in (True, False):  # the training rows, then the validation rows
            table, labels = (train_x, train_y) if learn else (valid_x, valid_y)
            ids, first = (order, epoch * len(train_y)) if learn else (valid_order, 0)
            size = batch_size if learn else EVALUATED_AT_ONCE
            loss = hits = 0.0
            for start in range(0, len(labels), size):
                if interrupt[0]:
                    break
                batch = min(size, len(labels) - start)
                next_batch = first + start + batch
                prefetch_rows(net.inputs[0], table, labels, ids, next_batch, min(size, len(labels) - start - batch))
                gather(buffers.x, net.inputs[0], table, ids, first + start, batch)
                forward(net, buffers.x, batch)
                if not learn and len(valid_logits):
                    _copy_logits(net, buffers.x, batch, valid_logits, start)
                scale = GRADIENT_SCALE / np.float32(batch)
                batch_loss, batch_hits = _softmax(
                    net, buffers.x, labels, class_weights, ids, first + start, batch, scale
                )
                loss += batch_loss
                hits += batch_hits
                if learn:
                    _backward(net, buffers, batch, schedule.step_size[step], schedule.epsilon[step])
                    step += 1
                    row_count[0] += batch
            column = 0 if learn else 2
            history[epoch, column] = loss / len(labels)
            history[epoch, column + 1] = hits / len(labels)
        if interrupt[0]:
            status = INTERRUPTED
            break
        train_loss, valid_loss = history[epoch, 0], history[epoch, 2]
        if np.isfinite(valid_loss) and valid_loss < best_loss:
            best_loss, best = valid_loss, epoch
            for index in range(len(best_w)):
                best_w[index] = net.w[index]
        if not (np.isfinite(train_loss) and np.isfinite(valid_loss)):
            status = DIVERGED
        elif best_loss > prune_above[epoch]:
            status = PRUNED
        epoch += 1
    restore_denormals(mode)
    return epoch, status, best
