"""The torch engine, for any device: a plain training loop on tensors that stay on the device.

N  training rows    V  validation rows    F  features    C  classes    B  rows of a batch    P  weights
"""

# mypy: allow-untyped-calls
# (torch is typed in part only)

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from insects.mlp import Floats, unflatten
from insects.objective import history_row, needs_logits
from insects.splits import Labels, Splits
from insects.training.progress import Progress
from insects.training.state import TrainingInterrupted, TrainingState, batch_order, class_weights, with_epoch
from insects.training.threads import one_thread

EVALUATED_AT_ONCE = 8192
"""Rows in a forward pass without gradients; bounds its memory."""


def advance(
    state: TrainingState,
    splits: Splits,
    epochs: int,
    prune_above: NDArray[np.float64],
    interrupt: NDArray[np.uint8],
    progress: Progress,
    device: str,
) -> TrainingState:
    """Train up to `epochs` epochs on `device`; see `insects.training.advance`."""
    with one_thread() if torch.device(device).type == "cpu" else nullcontext():
        rows = partial(_to_device, device=device)
        train, valid = rows(splits.train_x, splits.train_y), rows(splits.valid_x, splits.valid_y)
        weights_C = class_weights(state.recipe, splits.train_y, state.shape.classes)
        network = _Network(state, weights_C, device)
        last = min(state.recipe.epochs, state.epoch + epochs)
        while state.status == "running" and state.epoch < last:
            loss, accuracy = network.train_epoch(state, *train, interrupt, progress)
            valid_loss, valid_accuracy, logits_VC = network.evaluate(*valid, interrupt)
            row = history_row(
                state.recipe.metric,
                (loss, accuracy, valid_loss, valid_accuracy),
                logits_VC.cpu().numpy() if needs_logits(state.recipe.metric) else None,
                splits.valid_y,
            )
            progress.history[state.epoch] = loss, accuracy, valid_loss, valid_accuracy
            state, is_best = with_epoch(state, row, network.step, prune_above)
            if is_best:
                state = replace(state, best_weights=network.flat(network.weights))
        return replace(
            state,
            weights=network.flat(network.weights),
            first_moment=network.flat(network.moments("exp_avg")),
            second_moment=network.flat(network.moments("exp_avg_sq")),
        )


class _Network:
    """The weight and bias of each layer as leaf tensors on the device, and a `torch.optim.Adam` over them."""

    def __init__(self, state: TrainingState, weights_C: Floats, device: str) -> None:
        self.device, self.step = device, state.step
        self.class_weights = None if (weights_C == 1).all() else torch.tensor(weights_C, device=device)
        self.weights = self._tensors(state, state.weights)
        for weight in self.weights:
            weight.requires_grad_()
        self.optimizer = torch.optim.Adam(self.weights, lr=state.params.lr, fused=True)
        moments = zip(
            self.weights,
            self._tensors(state, state.first_moment),
            self._tensors(state, state.second_moment),
            strict=True,
        )
        for weight, first, second in moments:
            # The optimizer's state as it would be after so many steps: training goes on where the state stands.
            step = torch.tensor(float(state.step), device=device)
            self.optimizer.state[weight] = {"step": step, "exp_avg": first, "exp_avg_sq": second}

    def _tensors(self, state: TrainingState, flat_P: Floats) -> list[torch.Tensor]:
        layers = unflatten(flat_P, state.params, state.shape)
        return [torch.tensor(array, device=self.device) for layer in layers for array in layer]

    def moments(self, name: str) -> list[torch.Tensor]:
        """Adam's `exp_avg` or `exp_avg_sq` of each tensor."""
        return [self.optimizer.state[weight][name] for weight in self.weights]

    @staticmethod
    def flat(tensors: list[torch.Tensor]) -> Floats:
        """A copy of the tensors as the flat vector `(P,)` of `insects.mlp`."""
        return torch.cat([tensor.detach().flatten() for tensor in tensors]).cpu().numpy()

    def logits(self, x_BF: torch.Tensor) -> torch.Tensor:
        """Logits `(B, C)` of rows `(B, F)`."""
        hidden = x_BF
        for weight, bias in zip(self.weights[:-2:2], self.weights[1:-2:2], strict=True):
            hidden = functional.relu(functional.linear(hidden, weight, bias))
        return functional.linear(hidden, *self.weights[-2:])

    def mean_loss(self, logits_BC: torch.Tensor, y_B: torch.Tensor) -> torch.Tensor:
        """Cross entropy of each row times the weight of its class, the mean over rows."""
        if self.class_weights is None:
            return functional.cross_entropy(logits_BC, y_B)
        # The reduction "mean" would divide by the weights of the batch's rows.
        return functional.cross_entropy(logits_BC, y_B, self.class_weights, reduction="sum") / len(y_B)

    def train_epoch(
        self,
        state: TrainingState,
        x_NF: torch.Tensor,
        y_N: torch.Tensor,
        interrupt: NDArray[np.uint8],
        progress: Progress,
    ) -> tuple[float, float]:
        """Train one epoch; returns mean cross entropy and accuracy, of each row before the step of its batch."""
        rows, batch_size = len(y_N), state.params.batch_size
        steps = -(-rows // batch_size)
        order_N = torch.from_numpy(batch_order(state.seed, state.trial, state.epoch, rows)).to(self.device)
        # On the device until the epoch's end: fetching one number would wait for every step before it.
        losses, hits = torch.empty(2, steps, device=self.device)
        for index, batch_B in enumerate(order_N.split(batch_size)):
            _check(interrupt)
            y_B = y_N[batch_B]
            logits_BC = self.logits(x_NF[batch_B])
            loss = self.mean_loss(logits_BC, y_B)
            self.optimizer.zero_grad()
            loss.backward()
            for group in self.optimizer.param_groups:
                group["lr"] = state.recipe.learning_rate(state.params.lr, self.step, state.recipe.epochs * steps)
            self.optimizer.step()
            self.step += 1
            losses[index] = loss.detach() * len(batch_B)
            hits[index] = (logits_BC.argmax(1) == y_B).sum()
            progress.row_count[0] += len(batch_B)
        return _total(losses) / rows, _total(hits) / rows

    @torch.no_grad()
    def evaluate(
        self, x_VF: torch.Tensor, y_V: torch.Tensor, interrupt: NDArray[np.uint8]
    ) -> tuple[float, float, torch.Tensor]:
        """Mean cross entropy, accuracy and logits `(V, C)` of rows `(V, F)`."""
        losses, hits, logits = [], [], []
        for x_BF, y_B in zip(x_VF.split(EVALUATED_AT_ONCE), y_V.split(EVALUATED_AT_ONCE), strict=True):
            _check(interrupt)
            logits_BC = self.logits(x_BF)
            losses.append(functional.cross_entropy(logits_BC, y_B, self.class_weights, reduction="sum"))
            hits.append((logits_BC.argmax(1) == y_B).sum())
            logits.append(logits_BC)
        return _total(torch.stack(losses)) / len(y_V), _total(torch.stack(hits)) / len(y_V), torch.cat(logits)


def _to_device(x_NF: Floats, y_N: Labels, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(x_NF, device=device), torch.tensor(y_N, device=device, dtype=torch.int64)


def _total(numbers: torch.Tensor) -> float:
    return float(numbers.cpu().double().sum())


def _check(interrupt: NDArray[np.uint8]) -> None:
    if interrupt[0]:
        raise TrainingInterrupted("training was interrupted before the asked epochs were done")
