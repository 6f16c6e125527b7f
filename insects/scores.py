"""Scores of predictions that do not depend on how many rows a class has. Shapes: N rows, C classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats

Doubles = NDArray[np.float64]


def balanced_accuracy(scores_NC: Floats, y_N: NDArray[np.int32]) -> float:
    """Mean over the classes of the share of a class's rows whose largest score is the class's.

    Args:
        scores_NC: `(N, C)` logits or probabilities; of equal ones the lower class counts as the largest.
        y_N: `(N,)` class numbers, at least one; classes without a row do not count.

    Returns:
        A number in [0, 1], that of scikit-learn's `balanced_accuracy_score`.

    Examples:
        >>> balanced_accuracy(np.eye(2, dtype=np.float32)[[0, 0, 0, 0]], np.array([0, 0, 0, 1], np.int32))
        0.5
    """
    hit_N = scores_NC.argmax(axis=1) == y_N
    rows_C = np.bincount(y_N)
    hits_C = np.bincount(y_N[hit_N], minlength=len(rows_C))
    return float((hits_C[rows_C > 0] / rows_C[rows_C > 0]).mean())


def roc_auc(scores_NC: Floats, y_N: NDArray[np.int32]) -> float:
    """Area under the ROC curve, each class against the others, mean over the classes.

    It is scikit-learn's `roc_auc_score(y, softmax(scores), average="macro", multi_class="ovr")`. A class's area is the
    Mann-Whitney statistic of its rows (Hanley and McNeil, Radiology 143, 1982), from ranks by the log-odds of the
    class. They order rows as its probability does, but do not round to 1 where that would.

    Args:
        scores_NC: `(N, C)` finite logits, C at least 2.
        y_N: `(N,)` class numbers; classes that no row or every row has do not count.

    Returns:
        A number in [0, 1]; NaN if no class counts.

    Examples:
        >>> logits_NC = np.array([[2, 0], [1, 0], [1, 0], [0, 3]], np.float32)
        >>> roc_auc(logits_NC, np.array([0, 0, 1, 1], np.int32))
        0.875
    """
    odds_NC, areas = _log_odds(scores_NC), []
    classes = range(1, 2) if scores_NC.shape[1] == 2 else range(scores_NC.shape[1])  # of two, both areas are equal
    for number in classes:
        is_class_N = y_N == number
        rows, others = np.count_nonzero(is_class_N), np.count_nonzero(~is_class_N)
        if rows and others:
            rank_sum = _mean_ranks(odds_NC[:, number])[is_class_N].sum()
            areas.append((rank_sum - rows * (rows + 1) / 2) / (rows * others))
    return float(np.mean(areas)) if areas else np.nan


def _log_odds(scores_NC: Floats) -> Floats:
    """log(p / (1 - p)) of each class, with p the softmax.

    It is computed in float64 and rounded to the float32 of the logits: rows that differ in the order of the other
    classes only are equal, whatever the order of a sum.
    """
    z_NC = scores_NC.astype(np.float64)
    z_NC -= z_NC.max(axis=1, keepdims=True)
    exp_NC = np.exp(z_NC)
    # The sum over the other classes, from those before and those behind: total - own would cancel.
    others_NC = np.zeros_like(exp_NC)
    others_NC[:, 1:] = np.cumsum(exp_NC, axis=1)[:, :-1]
    others_NC[:, :-1] += np.cumsum(exp_NC[:, ::-1], axis=1)[:, -2::-1]
    with np.errstate(divide="ignore"):  # all others are below the smallest number: the odds are infinite
        return (z_NC - np.log(others_NC)).astype(np.float32)


def _mean_ranks(value_N: Floats) -> Doubles:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place_N, count_U = np.unique(value_N, return_inverse=True, return_counts=True)
    last_U = np.cumsum(count_U)
    return np.asarray((last_U - (count_U - 1) / 2)[place_N])
