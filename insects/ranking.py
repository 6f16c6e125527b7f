"""How well scores rank the rows of one class above the others: ROC and precision-recall curves.

Shapes: N rows, C classes, T distinct scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class RankingCurve:
    """What is found by calling every row positive whose score is at least a threshold, for each distinct score.

    Attributes:
        true_positives: `(T,)` int64, positive rows that are found, ascending.
        false_positives: `(T,)` int64, negative rows that are called positive.
    """

    true_positives: NDArray[np.int64]
    false_positives: NDArray[np.int64]

    @property
    def roc(self) -> tuple[Doubles, Doubles]:
        """False and true positive rate, `(T + 1,)` each, from (0, 0) to (1, 1)."""
        false, true = (np.append(0, found) / found[-1] for found in (self.false_positives, self.true_positives))
        return false, true

    @property
    def precision_recall(self) -> tuple[Doubles, Doubles]:
        """Precision and recall, `(T + 1,)` each, from recall 0, where precision is 1 by definition, to recall 1."""
        precision = self.true_positives / (self.true_positives + self.false_positives)
        return np.append(1, precision), np.append(0, self.true_positives / self.true_positives[-1])

    @property
    def area(self) -> float:
        """Area under the ROC curve: the share of pairs with the positive row ranked higher; a tie counts half."""
        false, true = self.roc
        return float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))

    @property
    def average_precision(self) -> float:
        """Mean precision, weighted with the growth of recall: the area under the steps of the curve."""
        precision, recall = self.precision_recall
        return float(np.sum(np.diff(recall) * precision[1:]))


def ranking_curve(score_N: Doubles, positive_N: Flags) -> RankingCurve:
    """Count what each threshold finds.

    Args:
        score_N: `(N,)` finite scores, larger for rows that are more likely positive.
        positive_N: `(N,)`, whether a row is positive.

    Returns:
        The curve.

    Raises:
        ValueError: There is no positive or no negative row.

    Examples:
        >>> ranking_curve(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])).area
        0.75
    """
    if positive_N.all() or not positive_N.any():
        raise ValueError(f"a ranking needs positive and negative rows, found {positive_N.sum()} of {len(positive_N)}")
    order_N = np.argsort(-score_N, kind="stable")
    score_N, positive_N = score_N[order_N], positive_N[order_N]
    last_of_score = np.append(np.flatnonzero(np.diff(score_N)), len(score_N) - 1)  # equal scores are found together
    true = np.cumsum(positive_N)[last_of_score]
    return RankingCurve(true, last_of_score + 1 - true)
