"""The compiled engine for CPUs: packs a training state for the kernel and unpacks the kernel's results."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from insects.encoder import standard_encoder
from insects.mlp import Floats, Shape, layer_sizes, unflatten
from insects.objective import history_row, needs_logits
from insects.params import Recipe, TrialParams
from insects.splits import Splits
from insects.training import kernel
from insects.training.packing import Packing
from insects.training.progress import Progress
from insects.training.state import (
    Status,
    TrainingInterrupted,
    TrainingState,
    batch_order,
    class_weights,
    init,
    with_epoch,
)
from insects.training.tiles import BETA1, BETA2, EPSILON

_STATUS: dict[int, Status] = {kernel.RUNNING: "running", kernel.PRUNED: "pruned", kernel.DIVERGED: "diverged"}

_NO_LOGITS = np.empty(0, np.float32)

_ROWS_AT_ONCE = 1 << 20
"""Rows trained (epochs times rows) between two returns to Python; bounds the memory of the batch orders."""


def advance(
    state: TrainingState,
    splits: Splits,
    epochs: int,
    prune_above: NDArray[np.float64],
    interrupt: NDArray[np.uint8],
    progress: Progress,
) -> TrainingState:
    """Train up to `epochs` epochs on one core; see `insects.training.advance`."""
    run = _Run(state, splits, interrupt, progress)
    last = min(state.recipe.epochs, state.epoch + epochs)
    while state.status == "running" and state.epoch < last:
        if state.recipe.metric == "loss":
            state = run.epochs(state, min(last - state.epoch, max(1, _ROWS_AT_ONCE // run.rows)), prune_above)
        else:
            state = run.scored_epoch(state, prune_above)
    return run.final(state)


class _Run:
    """One trial's arrays in the kernel's layout."""

    def __init__(self, state: TrainingState, splits: Splits, interrupt: NDArray[np.uint8], progress: Progress) -> None:
        self.rows, self.interrupt, self.progress = len(splits.train_y), interrupt, progress
        self.batch_size = min(state.params.batch_size, self.rows)
        self.steps = -(-self.rows // self.batch_size)
        rows = max(self.batch_size, kernel.EVALUATED_AT_ONCE)
        self.packing = Packing(layer_sizes(state.params, state.shape), rows)
        parts = state.weights, state.first_moment, state.second_moment
        packed = [
            self.packing.pack(unflatten(flat, state.params, state.shape), place) for place, flat in enumerate(parts)
        ]
        self.net, self.buffers = self.packing.net(*packed), self.packing.buffers()
        self.best_w, self.improved = self.net.w.copy(), False
        self.class_weights = class_weights(state.recipe, splits.train_y, state.shape.classes)
        self.train = _flat(splits.train_x), _labels(splits.train_y)
        self.valid = _flat(splits.valid_x), _labels(splits.valid_y), np.arange(len(splits.valid_y), dtype=np.int32)

    def epochs(self, state: TrainingState, count: int, prune_above: NDArray[np.float64]) -> TrainingState:
        """The state after up to `count` epochs, except for its moments and weights, which `final` unpacks."""
        done, history = state.epoch, self.progress.history[state.epoch : state.epoch + count]
        lowest = float(state.history[state.best_epoch - 1, 2]) if state.best_epoch else np.inf
        did, status, best = self._train(state, prune_above[done : done + count], history, lowest, _NO_LOGITS)
        state = replace(
            state,
            step=state.step + did * self.steps,
            history=np.concatenate([state.history, history[:did]]),
            status=_STATUS[status],
        )
        if best >= 0:
            self.improved = True
            state = replace(state, best_epoch=done + best + 1)
        if state.status == "running" and state.epoch == state.recipe.epochs:
            state = replace(state, status="finished")
        return state

    def scored_epoch(self, state: TrainingState, prune_above: NDArray[np.float64]) -> TrainingState:
        """`epochs` for one epoch and a metric that is not the loss, which the kernel does not know."""
        metric, classes = state.recipe.metric, state.shape.classes
        history = self.progress.history[state.epoch : state.epoch + 1]
        logits = np.empty(len(self.valid[1]) * classes, np.float32) if needs_logits(metric) else _NO_LOGITS
        # No epoch is the best by a loss below -infinity, and none is pruned.
        self._train(state, np.full(1, np.inf), history, -np.inf, logits)
        train_loss, train_accuracy, valid_loss, valid_accuracy = history[0].tolist()
        metrics = train_loss, train_accuracy, valid_loss, valid_accuracy
        logits_VC = logits.reshape(-1, classes) if needs_logits(metric) else None
        row = history_row(metric, metrics, logits_VC, self.valid[1])
        state, is_best = with_epoch(state, row, state.step + self.steps, prune_above)
        if is_best:
            self.improved = True
            np.copyto(self.best_w, self.net.w)
        return state

    def _train(
        self,
        state: TrainingState,
        prune_above: NDArray[np.float64],
        history: NDArray[np.float64],
        lowest: float,
        logits: Floats,
    ) -> tuple[int, int, int]:
        """Call the kernel for the next `len(prune_above)` epochs; see `kernel.train`."""
        done, count = state.epoch, len(prune_above)
        orders = [batch_order(state.seed, state.trial, epoch, self.rows) for epoch in range(done, done + count)]
        schedule = step_constants(state.params.lr, state.recipe, state.step, count * self.steps, self.steps)
        did, status, best = kernel.train(
            self.net, self.buffers, schedule, self.class_weights, self.batch_size, *self.train, np.concatenate(orders),
            *self.valid, logits, prune_above, history, lowest, self.best_w, self.interrupt,
            self.progress.row_count,
        )  # fmt: skip
        if status == kernel.INTERRUPTED:
            raise TrainingInterrupted("training was interrupted before the asked epochs were done")
        return did, status, best

    def final(self, state: TrainingState) -> TrainingState:
        """The state with weights and moments, at the end of the run; the run's arrays are freed."""
        packed = [self.net.w, self.net.m, self.net.v, self.best_w][: 4 if self.improved else 3]
        del self.net, self.best_w
        # One after the other, so that the packed copy is freed first: for images each has hundreds of megabytes.
        flat = [self._unpacked(packed.pop(0), state) for _ in range(len(packed))]
        best = flat[3] if self.improved else state.best_weights
        return replace(state, weights=flat[0], first_moment=flat[1], second_moment=flat[2], best_weights=best)

    def _unpacked(self, packed: Floats, state: TrainingState) -> Floats:
        flat = np.empty_like(state.weights)
        self.packing.unpack(packed, unflatten(flat, state.params, state.shape))
        return flat


def step_constants(lr: float, recipe: Recipe, first_step: int, count: int, steps_an_epoch: int) -> kernel.Schedule:
    """The learning rate and Adam's bias corrections of `count` steps, as `tiles.update` takes them.

    Args:
        lr: The trial's learning rate.
        recipe: Its schedule and epochs; the rates are those of `Recipe.learning_rate`.
        first_step: Steps done before, from 0.
        count: Number of steps.
        steps_an_epoch: Steps in an epoch.
    """
    step = np.arange(first_step, first_step + count, dtype=np.float64)
    rates = np.full(count, lr)
    if recipe.schedule == "cosine":
        rates *= 0.5 * (1.0 + np.cos(np.pi * step / (recipe.epochs * steps_an_epoch)))
    # Kingma and Ba, arXiv:1412.6980, the end of section 2; t is step + 1
    root = np.sqrt(1 - BETA2 ** (step + 1))
    step_size, epsilon = rates * root / (1 - BETA1 ** (step + 1)), EPSILON * root
    return kernel.Schedule(step_size.astype(np.float32), epsilon.astype(np.float32))


def warm_up() -> None:
    """Load the kernel, or compile it on its first use on this machine; safe in any thread, while others train."""
    params, shape, recipe = TrialParams(depth=1, width=1, lr=0.1, batch_size=2), Shape(1, 2), Recipe(epochs=1)
    x, y = np.array([[0], [1]], np.float32), np.array([0, 1], np.int32)
    splits = Splits(("x",), ("a", "b"), x, y, x, y, standard_encoder(["x"], x), "")
    state = init(params, recipe, shape, 0, 0)
    advance(state, splits, 1, np.full(1, np.inf), np.zeros(1, np.uint8), Progress(recipe.epochs, len(y)))


def _flat(x_NF: Floats) -> Floats:
    # Writable, because the kernel is compiled for writable arrays only, though it does not write these.
    return np.require(x_NF, np.float32, ["C", "A", "W"]).reshape(-1)


def _labels(y_N: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.require(y_N, np.int32, ["C", "A", "W"])
