"""The CPU engine: packs a training state for the kernel, runs it, and unpacks what it made of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats, Shape, layer_sizes, unflatten
from insects.params import TrialParams
from insects.splits import Splits
from insects.training import kernel
from insects.training.state import TrainingInterrupted, TrainingState, batch_order
from insects.training.tiles import BETA1, BETA2, EPSILON, TILE_ROWS

_STATUS = {kernel.RUNNING: "running", kernel.STOPPED: "stopped", kernel.DIVERGED: "diverged"}
ORDERS_AT_ONCE = 1 << 20


class _Packing:
    def __init__(self, params: TrialParams, shape: Shape, rows: int) -> None:
        lanes = kernel.WIDTH
        self.params, self.shape = params, shape
        self.sizes = layer_sizes(params, shape)
        self.inputs = np.array([i for i, _ in self.sizes])
        self.outputs = np.array([-(-o // lanes) * lanes for _, o in self.sizes])
        ends = np.cumsum((self.inputs + 1) * self.outputs)
        self.first = np.concatenate([[0], ends[:-1]])
        # Tiles read up to three rows past a layer's last.
        self.floats = int(ends[-1] + TILE_ROWS * self.outputs.max())
        self.stride = np.concatenate([[shape.features], self.outputs])
        rows = -(-rows // TILE_ROWS) * TILE_ROWS
        aligned = -(-(self.stride * rows) // lanes) * lanes
        self.rows = np.concatenate([[0], np.cumsum(aligned)[:-1]])
        self.activations = int(aligned.sum())
        self.gradients = 2 * int(rows * self.outputs.max())

    def pack(self, flat_P: Floats, position: int = 0) -> Floats:
        packed = _aligned(self.floats, position)
        for (weight, bias), first, inputs, outputs in zip(
            unflatten(flat_P, self.params, self.shape), self.first, self.inputs, self.outputs, strict=True
        ):
            layer = packed[first : first + (inputs + 1) * outputs].reshape(inputs + 1, outputs)
            layer[:-1, : len(bias)] = weight.T
            layer[-1, : len(bias)] = bias
        return packed

    def unpack(self, packed: Floats) -> Floats:
        flat_P = np.empty(sum((i + 1) * o for i, o in self.sizes), np.float32)
        for (weight, bias), first, inputs, outputs in zip(
            unflatten(flat_P, self.params, self.shape), self.first, self.inputs, self.outputs, strict=True
        ):
            layer = packed[first : first + (inputs + 1) * outputs].reshape(inputs + 1, outputs)
            weight[:] = layer[:-1, : len(bias)].T
            bias[:] = layer[-1, : len(bias)]
        return flat_P

    def net(self, w: Floats, m: Floats, v: Floats) -> kernel.Net:
        return kernel.Net(w, m, v, self.first, self.inputs, self.outputs, self.rows, self.stride, self.shape.classes)

    def buffers(self) -> kernel.Buffers:
        x = _aligned(self.activations + 1, 3)
        x[-1] = 1
        return kernel.Buffers(x, _aligned(self.gradients, 4))


def _aligned(count: int, position: int = 0) -> Floats:
    """Zeros on a cache line's begin; arrays of different `position` never lie a multiple of 4096 bytes apart, where
    processors take a load for one that waits for a store (4K aliasing)."""
    raw = np.zeros(count + 2048, np.float32)
    skip = -raw.ctypes.data % 4096 // 4 + position * 208
    return raw[skip : skip + count]


def _schedule(state: TrainingState, steps_an_epoch: int, count: int) -> kernel.Schedule:
    total = state.recipe.epochs * steps_an_epoch
    step = np.arange(state.step, state.step + count, dtype=np.float64)
    lr = np.full(count, state.params.lr)
    if state.recipe.schedule == "cosine":
        lr *= 0.5 * (1.0 + np.cos(np.pi * step / total))
    correction1, correction2 = 1 - BETA1 ** (step + 1), np.sqrt(1 - BETA2 ** (step + 1))
    return kernel.Schedule((lr * correction2 / correction1).astype(np.float32), (EPSILON * correction2).astype(np.float32))


def advance(
    state: TrainingState, splits: Splits, epochs: int, stops: NDArray[np.float64], interrupt: NDArray[np.uint8]
) -> TrainingState:
    """See `insects.training.advance`."""
    rows, batch = len(splits.train_y), min(state.params.batch_size, len(splits.train_y))
    steps = -(-rows // batch)
    at_once = max(1, ORDERS_AT_ONCE // rows)
    packing = _Packing(state.params, state.shape, max(batch, kernel.EVALUATED_AT_ONCE))
    w, m, v = packing.pack(state.weights), packing.pack(state.first_moment, 1), packing.pack(state.second_moment, 2)
    net, buffers = packing.net(w, m, v), packing.buffers()
    best_w = w.copy()
    train_x, valid_x = splits.train_x.reshape(-1), splits.valid_x.reshape(-1)
    valid_order = np.arange(len(splits.valid_y), dtype=np.int32)
    last = min(state.recipe.epochs, state.epoch + epochs)
    while state.status == "running" and state.epoch < last:
        done, count = state.epoch, min(at_once, last - state.epoch)
        order = np.concatenate([batch_order(state.seed, state.trial, done + e, rows) for e in range(count)])
        history = np.empty((count, 4))
        best_loss = state.history[state.best_epoch - 1, 2] if state.best_epoch else np.inf
        did, status, best = kernel.train(
            net, buffers, _schedule(state, steps, count * steps), batch, train_x, splits.train_y, order,
            valid_x, splits.valid_y, valid_order, stops[done : done + count], history, best_loss, best_w, interrupt,
        )  # fmt: skip
        if status == kernel.INTERRUPTED:
            raise TrainingInterrupted("training was interrupted before the asked epochs were done")
        state = replace(
            state,
            step=state.step + did * steps,
            history=np.concatenate([state.history, history[:did]]),
            best_epoch=state.best_epoch if best < 0 else done + best + 1,
            best_weights=state.best_weights if best < 0 else packing.unpack(best_w),
            status=_STATUS[status],
        )
        if state.status == "running" and state.epoch == state.recipe.epochs:
            state = replace(state, status="finished")
    return replace(state, weights=packing.unpack(w), first_moment=packing.unpack(m), second_moment=packing.unpack(v))


def logits(weights_P: Floats, params: TrialParams, shape: Shape, x_NF: Floats) -> Floats:
    """Logits `(N, C)` of standardized rows `(N, F)`."""
    packing = _Packing(params, shape, kernel.EVALUATED_AT_ONCE)
    w = packing.pack(weights_P)
    out = np.empty(len(x_NF) * shape.classes, np.float32)
    kernel.predict(
        packing.net(w, w, w), packing.buffers(), np.ascontiguousarray(x_NF, np.float32).reshape(-1),
        np.arange(len(x_NF), dtype=np.int32), out,
    )  # fmt: skip
    return out.reshape(len(x_NF), shape.classes)
