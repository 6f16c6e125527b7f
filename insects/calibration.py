"""Calibration: whether a classifier is right as often as its probabilities say.

Shapes: N rows, C classes, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Bins of equal width, B, as in Guo et al."""

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Rows in bins of their confidence, the probability of the predicted class. Bin b holds `(b / B, (b + 1) / B]`.

    Attributes:
        counts: `(B,)` int64, rows of each bin.
        confidences: `(B,)` mean confidence; 0 in an empty bin.
        accuracies: `(B,)` share of correct rows; 0 in an empty bin.
    """

    counts: NDArray[np.int64]
    confidences: Doubles
    accuracies: Doubles

    @property
    def confidence(self) -> float:
        """Mean confidence of all rows."""
        return float(self.confidences @ self.counts / self.counts.sum())

    @property
    def accuracy(self) -> float:
        """Share of correct rows."""
        return float(self.accuracies @ self.counts / self.counts.sum())

    @property
    def error(self) -> float:
        """The expected calibration error: the mean of `|accuracy - confidence|` over rows, each counted as its bin.

        It is eq. 3 of Guo et al., On Calibration of Modern Neural Networks (2017), arXiv:1706.04599.
        """
        gap_B = np.abs(self.accuracies - self.confidences)
        return float(gap_B @ self.counts / self.counts.sum())


def softmax(logits_NC: NDArray[np.floating]) -> Doubles:
    """Probabilities of the classes.

    Args:
        logits_NC: `(N, C)` logits.

    Returns:
        `(N, C)` float64; a row with an infinite or undefined logit may have undefined ones.
    """
    logits = logits_NC.astype(np.float64)
    with np.errstate(invalid="ignore"):
        power_NC = np.exp(logits - logits.max(axis=1, keepdims=True))
        probability_NC: Doubles = power_NC / power_NC.sum(axis=1, keepdims=True)
    return probability_NC


def calibrate(probability_NC: Doubles, y_N: NDArray[np.integer]) -> Calibration:
    """Sort rows into bins of their confidence.

    Args:
        probability_NC: `(N, C)` finite probabilities. The largest one is predicted, on a tie the lower class.
        y_N: `(N,)` true classes in `[0, C)`.

    Returns:
        The bins.

    Raises:
        ValueError: N is 0, or the two disagree on N.

    Examples:
        >>> found = calibrate(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1]))
        >>> round(found.error, 6)  # 90 % sure, and right half the time
        0.4
    """
    if len(y_N) == 0 or len(probability_NC) != len(y_N):
        raise ValueError(f"calibration needs rows, as many as classes, found {len(probability_NC)} and {len(y_N)}")
    confidence_N = probability_NC.max(axis=1)
    correct_N = probability_NC.argmax(axis=1) == y_N
    edges = np.linspace(0, 1, BINS + 1)
    bin_N = np.searchsorted(edges[1:-1], confidence_N, side="left")  # on an edge: the lower bin
    count_B = np.bincount(bin_N, minlength=BINS)
    sums = (np.bincount(bin_N, weights=value_N, minlength=BINS) for value_N in (confidence_N, correct_N))
    confidence_B, accuracy_B = (sum_B / np.maximum(count_B, 1) for sum_B in sums)
    return Calibration(count_B.astype(np.int64), confidence_B, accuracy_B)
