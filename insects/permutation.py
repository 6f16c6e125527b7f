"""Permutation importance: how much worse a final's networks get when the values of a column are shuffled.

Breiman, Random Forests, Machine Learning 45 (2001). Each network is asked about the rows that it did not see.

Shapes: N rows, K coded columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insects import mlp
from insects.encoder import Encoder
from insects.evaluation import row_losses
from insects.final import Finalist
from insects.mlp import Floats, Shape
from insects.params import Recipe
from insects.training.state import class_weights

REPEATS = 5
"""Shuffles of a column that its importance is the mean of."""
MOST_ROWS = 1_000
"""Rows that are asked about at most, a sample from a fixed seed."""
FEWEST_ROWS = 100
"""Of a larger table, fewer rows than these would say nothing."""
MOST_PRODUCTS = 4_000_000_000
"""Products of all forward passes together: about half a second."""
_MOST_INPUTS = 200_000_000  # numbers that all rows are encoded into together


@dataclass(frozen=True)
class ColumnImportance:
    """What shuffling a column does.

    Attributes:
        name: The column.
        loss: The increase of the loss of the rows, in nats; about 0 or below for a column that is of no use.
        accuracy: The decrease of the share of correct rows.
    """

    name: str
    loss: float
    accuracy: float


def permutation_importances(
    finalist: Finalist, encoder: Encoder, raw_NK: Floats, y_N: NDArray[np.integer], fold_N: NDArray[np.integer]
) -> list[ColumnImportance]:
    """Shuffle each column of the rows that a network did not see, and compare what it says of them.

    All inputs that the encoder makes of a column, such as those of a category's levels, are shuffled as one.

    Args:
        finalist: A sound finalist.
        encoder: What makes the networks' inputs.
        raw_NK: `(N, K)` coded rows.
        y_N: `(N,)` their classes in `[0, C)`.
        fold_N: `(N,)` the fold of each row; a row with a negative number is not asked about.

    Returns:
        All columns, the largest increase of the loss first; none where there are so many that it would take long.
    """
    columns, products = raw_NK.shape[1], finalist.folds[0].trial.weights.size
    asked = min(MOST_PRODUCTS // products, _MOST_INPUTS // encoder.inputs) // (columns * REPEATS)
    held_N = np.flatnonzero(fold_N >= 0)
    if asked < min(FEWEST_ROWS, len(held_N)):
        return []
    generator = np.random.Generator(np.random.PCG64(0))
    rows = np.sort(generator.permutation(held_N)[: min(MOST_ROWS, asked)])
    raw_NK, code_N, fold_N = raw_NK[rows], y_N[rows].astype(np.int32), fold_N[rows]
    shape = Shape(encoder.inputs, int(finalist.logits.shape[1]))
    weight_N = class_weights(Recipe(class_weight=finalist.class_weight), code_N, shape.classes)[code_N]
    sums = np.zeros((columns + 1, 2))  # loss and correct rows, of each column shuffled, and of none
    for fold in finalist.folds:
        at = np.flatnonzero(fold_N == fold.fold)
        own_NK = raw_NK[at]
        for column in range(columns + 1):
            for _ in range(REPEATS if column < columns else 1):
                shuffled_NK = own_NK.copy()
                if column < columns:
                    shuffled_NK[:, column] = generator.permutation(own_NK[:, column])
                x_NF = encoder.transform(shuffled_NK)
                logits_NC = mlp.logits(fold.trial.weights, finalist.params, shape, x_NF)
                loss = float((row_losses(logits_NC, code_N[at]) * weight_N[at]).sum())
                sums[column] += loss, float((logits_NC.argmax(axis=1) == code_N[at]).sum())
    sums[:columns] /= REPEATS
    means = sums / max(1, len(rows))
    found = [
        ColumnImportance(name, float(loss - means[columns, 0]), float(means[columns, 1] - hits))
        for name, (loss, hits) in zip(encoder.names, means[:columns], strict=True)
    ]
    return sorted(found, key=lambda importance: -importance.loss)
