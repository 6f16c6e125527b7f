"""Whole epochs of training in one compiled call that holds no GIL: the loops around the register tiles.

    B  rows of a batch        N  training rows        V  validation rows        F  features        C  classes
    L  layers                 I  inputs of a layer    O  outputs of a layer, padded with zeros to whole vectors

Every array is flat. A layer's weights are `(I + 1, O)`, its bias the last row; zero weights with zero gradients stay
zero under Adam, so padding needs no mask. Rows of a batch come in tiles of four; what lies behind a batch's last row is
computed along and never read.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from insects.training import processor, softmax, tiles, vectors
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
_input_gradient, _softmax_row = tiles.input_gradient(LANES), softmax.softmax_row(LANES)

RUNNING, STOPPED, DIVERGED, INTERRUPTED = range(4)

_SOURCES = [Path(inspect.getfile(module)) for module in (sys.modules[__name__], processor, softmax, tiles, vectors)]
_inlined = njit(nogil=True, inline="always")


def _compiled(function: Any) -> Any:
    return cached(njit(nogil=True)(function), _SOURCES)


class Net(NamedTuple):
    """A network's packed weights and where each layer lies.

    w, m, v: float32, weights and Adam's moments. first: `(L,)` where a layer's weights begin. inputs: `(L,)` I.
    outputs: `(L,)` O. rows: `(L + 1,)` where the activations that go into a layer begin (the last: the logits) in
    `Buffers.x`; stride: `(L + 1,)` floats from one row of them to the next. classes: C.
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
    """x: float32, activations of a batch, and 1.0 as its last element: what goes into the biases. dx: gradients of
    two layers' inputs."""

    x: Any
    dx: Any


class Schedule(NamedTuple):
    """`(steps,)` float32 each: what `tiles._adam` takes."""

    step_size: Any
    epsilon: Any


@_inlined
def _gather(x: Any, features: int, table: Any, order: Any, first: int, count: int) -> None:
    """Rows `order[first:first + count]` of the table, side by side."""
    for row in range(count):
        source, target = order[first + row] * features, row * features
        for j in range(features):
            x[target + j] = table[source + j]


@_inlined
def _prefetch_rows(features: int, table: Any, labels: Any, order: Any, first: int, count: int) -> None:
    """Begin to load the next batch: in a big table each lies elsewhere, and memory is 100 ns away."""
    for row in range(count):
        prefetch(labels, order[first + row])
        begin = order[first + row] * features
        for line in range(begin, begin + features, CACHE_LINE):
            prefetch(table, line)
        prefetch(table, begin + features - 1)


@_inlined
def _forward(net: Net, x: Any, batch: int) -> None:
    """Activations of every layer, and the logits."""
    layers = len(net.inputs)
    for layer in range(layers):
        floor = np.float32(0) if layer < layers - 1 else np.float32(-np.inf)  # ReLU, but not on the logits
        inputs, outputs = net.inputs[layer], net.outputs[layer]
        x_row, z_row = net.stride[layer], net.stride[layer + 1]
        for column in range(0, outputs, PANEL * WIDTH):
            vectors = min(PANEL, (outputs - column) // WIDTH)
            z0, w0 = net.rows[layer + 1] + column, net.first[layer] + column
            for row in range(0, batch, TILE_ROWS):
                x0 = net.rows[layer] + row * x_row
                _affine(vectors, x, z0 + row * z_row, z_row, x, x0, x_row, net.w, w0, outputs, inputs, floor)


@_inlined
def _softmax(net: Net, x: Any, labels: Any, order: Any, first: int, batch: int, scale: Any) -> Any:
    """Turns the logits into their gradients; sums of cross entropy and of hits over the batch."""
    z0, z_row, vectors = net.rows[-1], net.stride[-1], net.outputs[-1] // WIDTH
    loss = hits = 0.0
    for row in range(batch):
        label = labels[order[first + row]]
        row_loss, hit = _softmax_row(x, z0 + row * z_row, net.classes, vectors, label, scale)
        loss += row_loss
        hits += hit
    return loss, hits


@_inlined
def _backward(net: Net, buffers: Buffers, batch: int, step_size: Any, epsilon: Any) -> None:
    """From the logits' gradients to Adam's step of every layer.

    Weight rows are taken in blocks of four, the last few and the bias one by one: first what a block sends back to the
    layer's inputs, then its own update, while it lies in the cache.
    """
    layers, w, m, v = len(net.inputs), net.w, net.m, net.v
    dz, dz0, dz_row = buffers.x, net.rows[layers], net.stride[layers]
    for layer in range(layers - 1, -1, -1):
        inputs, outputs = net.inputs[layer], net.outputs[layer]
        dx0 = (layer % 2) * (len(buffers.dx) // 2)
        i = 0
        while i <= inputs:
            rows = TILE_ROWS if i + TILE_ROWS <= inputs else 1
            w0 = net.first[layer] + i * outputs
            if layer > 0 and i < inputs and i % TILE_ROWS == 0:
                for j in range(0, TILE_ROWS, INPUTS_A_TILE):
                    for row in range(0, batch, TILE_ROWS):
                        at = row * net.stride[layer] + i + j
                        _input_gradient(
                            buffers.dx, dx0 + at, buffers.x, net.rows[layer] + at, net.stride[layer],
                            dz, dz0 + row * dz_row, dz_row, w, w0 + j * outputs, outputs, outputs // WIDTH,
                        )  # fmt: skip
            x0, x_row = (net.rows[layer] + i, net.stride[layer]) if i < inputs else (len(buffers.x) - 1, 0)
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
    net: Net, buffers: Buffers, schedule: Schedule, batch_size: int, train_x: Any, train_y: Any, order: Any,
    valid_x: Any, valid_y: Any, valid_order: Any, stops: Any, history: Any, best_loss: float, best_w: Any,
    interrupt: Any,
) -> Any:  # fmt: skip
    """Trains `len(stops)` epochs or ends earlier; fills `history` and `best_w`.

    Returns: epochs done, the status, and which of them (from 0) had a loss below `best_loss` and all before; or -1.
    """
    mode = flush_denormals()
    best, status, epoch, step = -1, RUNNING, 0, 0
    while epoch < len(stops) and status == RUNNING:
        for learn in (True, False):
            table, labels = (train_x, train_y) if learn else (valid_x, valid_y)
            ids, first = (order, epoch * len(train_y)) if learn else (valid_order, 0)
            size = batch_size if learn else EVALUATED_AT_ONCE
            loss = hits = 0.0
            for start in range(0, len(labels), size):
                if interrupt[0]:
                    break
                batch = min(size, len(labels) - start)
                next_batch = first + start + batch
                _prefetch_rows(net.inputs[0], table, labels, ids, next_batch, min(size, len(labels) - start - batch))
                _gather(buffers.x, net.inputs[0], table, ids, first + start, batch)
                _forward(net, buffers.x, batch)
                scale = GRADIENT_SCALE / np.float32(batch)
                batch_loss, batch_hits = _softmax(net, buffers.x, labels, ids, first + start, batch, scale)
                loss += batch_loss
                hits += batch_hits
                if learn:
                    _backward(net, buffers, batch, schedule.step_size[step], schedule.epsilon[step])
                    step += 1
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
        elif best_loss > stops[epoch]:
            status = STOPPED
        epoch += 1
    restore_denormals(mode)
    return epoch, status, best
