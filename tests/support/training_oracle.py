"""The reference for both engines: a dense network trained by Adam, written out in float64 numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from insects.mlp import unflatten
from insects.splits import Splits
from insects.training import TrainingState, batch_order

Doubles = NDArray[np.float64]


def one_epoch(state: TrainingState, splits: Splits) -> tuple[float, Doubles, Doubles, Doubles]:
    """Train the state's next epoch; returns its mean training loss, and the weights and both moments after it."""
    classes = state.shape.classes
    weight_C = np.ones(classes)
    if state.recipe.class_weight == "balanced":
        weight_C = compute_class_weight("balanced", classes=np.arange(classes), y=splits.train_y)
    w, m, v = (array.astype(np.float64) for array in (state.weights, state.first_moment, state.second_moment))
    order_N = batch_order(state.seed, state.trial, state.epoch, len(splits.train_y))
    size, step, loss = state.params.batch_size, state.step, 0.0
    steps = -(-len(order_N) // size) * state.recipe.epochs
    for start in range(0, len(order_N), size):
        rows = order_N[start : start + size]
        batch_loss, g = loss_and_gradient(state, w, splits.train_x[rows], splits.train_y[rows], weight_C)
        loss += batch_loss * len(rows)
        # Kingma and Ba, arXiv:1412.6980, algorithm 1
        m, v = 0.9 * m + (1 - 0.9) * g, 0.999 * v + (1 - 0.999) * g**2
        unbiased_m, unbiased_v = m / (1 - 0.9 ** (step + 1)), v / (1 - 0.999 ** (step + 1))
        w = w - state.recipe.learning_rate(state.params.lr, step, steps) * unbiased_m / (np.sqrt(unbiased_v) + 1e-8)
        step += 1
    return loss / len(order_N), w, m, v


def loss_and_gradient(
    state: TrainingState, weights_P: Doubles, x_BF: NDArray[np.float32], y_B: NDArray[np.int32], weight_C: Doubles
) -> tuple[float, Doubles]:
    """Mean of the weighted cross entropies of a batch, and its gradient `(P,)`."""
    layers = unflatten(weights_P, state.params, state.shape)  # type: ignore[arg-type] # float64 here
    inputs = [x_BF.astype(np.float64)]
    for weight, bias in layers[:-1]:
        inputs.append(np.maximum(inputs[-1] @ weight.T + bias, 0))
    # Cross entropy of softmax; its gradient by the logits is softmax - one-hot(target), divided by B for the mean.
    logits_BC = inputs[-1] @ layers[-1][0].T + layers[-1][1]
    logits_BC -= logits_BC.max(1, keepdims=True)
    softmax_BC = np.exp(logits_BC) / np.exp(logits_BC).sum(1, keepdims=True)
    loss = -(weight_C[y_B] * np.log(softmax_BC[np.arange(len(y_B)), y_B])).mean()
    delta = weight_C[y_B, None] * (softmax_BC - np.eye(softmax_BC.shape[1])[y_B]) / len(y_B)
    parts: list[Doubles] = []
    for (weight, _), x in zip(layers[::-1], inputs[::-1], strict=True):
        parts = [(delta.T @ x).ravel(), delta.sum(0), *parts]
        delta = (delta @ weight) * (x > 0)
    return float(loss), np.concatenate(parts)
