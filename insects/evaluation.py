"""Evaluation of a classifier: accuracy with its confidence interval, metrics per class and the confusion matrix.

Shapes: N rows, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from insects.text import NAME_LENGTH, aligned, and_more, counted, shortened

CONFIDENCE = 0.95
MATRIX_CLASSES = 20
"""With more classes than this, the text of a report lists the most frequent mistakes instead of the matrix."""


class ClassRow(TypedDict):
    """Metrics of one class.

    Attributes:
        name: The class name.
        precision: 0 if no row was predicted as the class.
        recall: 0 if no row is of the class.
        f1: Harmonic mean of the two; 0 if both are.
        support: Rows whose true class it is.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Report:
    """Metrics of a model on labelled rows.

    Attributes:
        accuracy: Share of correct rows.
        correct: Number of correct rows.
        total: Number of rows, N.
        interval: Wilson's 95 % interval of the accuracy.
        groups: Number of groups of related rows; None: every row is independent.
        loss: Mean cross entropy in nats.
        per_class: Metrics of each class.
        confusion: `(C, C)` int64, one row per true class, one column per predicted class.
    """

    accuracy: float
    correct: int
    total: int
    interval: tuple[float, float]
    groups: int | None
    loss: float
    per_class: tuple[ClassRow, ...]
    confusion: NDArray[np.int64]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names."""
        return tuple(row["name"] for row in self.per_class)

    @property
    def interval_note(self) -> str:
        """Text that follows the interval where it counts groups instead of rows; else empty."""
        return "" if self.groups is None else f", each of {counted(self.groups, 'group')} counted once"

    def as_dict(self) -> dict[str, Any]:
        """The report as a dictionary that `json.dumps` accepts."""
        return {
            "accuracy": self.accuracy,
            "correct": self.correct,
            "total": self.total,
            "interval": list(self.interval),
            "groups": self.groups,
            "loss": self.loss,
            "per_class": [dict(row) for row in self.per_class],
            "confusion": self.confusion.tolist(),
        }

    def text(self) -> str:
        """The report as plain text of several lines."""
        low, high = self.interval
        headline = (
            f"accuracy {self.accuracy:.4f} ({self.correct} of {self.total}), "
            f"{CONFIDENCE:.0%} interval {low:.4f}–{high:.4f}".replace("95%", "95 %")
            + self.interval_note
        )
        rows = [
            [shortened(row["name"]), *(f"{row[key]:.4f}" for key in ("precision", "recall", "f1")), str(row["support"])]
            for row in self.per_class
        ]
        per_class = aligned([["class", "precision", "recall", "f1", "rows"], *rows])
        confusion = self._matrix_text() if len(self.per_class) <= MATRIX_CLASSES else self._mistakes_text()
        return "\n".join([headline, f"cross entropy {self.loss:.4f}", "", *per_class, "", *confusion])

    def _matrix_text(self) -> list[str]:
        names = map(shortened, self.classes)
        rows = [[name, *map(str, row)] for name, row in zip(names, self.confusion.tolist(), strict=True)]
        columns = [shortened(name, min(NAME_LENGTH, max(6, 100 // len(self.classes) - 2))) for name in self.classes]
        return aligned([["true \\ predicted", *columns], *rows])

    def _mistakes_text(self) -> list[str]:
        mistakes = self.confusion - np.diag(np.diag(self.confusion))
        order = np.argsort(-mistakes, axis=None, kind="stable")[: np.count_nonzero(mistakes)]
        pairs = [divmod(int(cell), len(self.classes)) for cell in order]
        rows = [
            [shortened(self.classes[true]), shortened(self.classes[predicted]), str(mistakes[true, predicted])]
            for true, predicted in pairs[:MATRIX_CLASSES]
        ]
        if not rows:
            return ["no mistakes"]
        unlisted = sum(int(mistakes[pair]) for pair in pairs[MATRIX_CLASSES:])
        more = and_more(len(pairs) - len(rows), f"pairs, {counted(unlisted, 'row')}")
        return [*aligned([["true", "predicted as", "rows"], *rows]), *more]


def evaluate(
    logits_NC: NDArray[np.floating],
    y_N: NDArray[np.integer],
    classes: tuple[str, ...],
    groups: Sequence[str] | None = None,
) -> Report:
    """Compare predictions with true classes. The class with the largest logit is predicted, on a tie the lower one.

    The interval is Wilson's (JASA 22 (1927), 209-212) for N independent draws. With groups, the number of groups takes
    the place of N: several frames of one specimen say little more than one frame, and how much more is unknown.

    Args:
        logits_NC: `(N, C)` logits.
        y_N: `(N,)` true classes in `[0, C)`.
        classes: C class names.
        groups: N group names, for example the specimen that each image shows; None: the rows are independent.

    Returns:
        The metrics.

    Raises:
        ValueError: N is 0, the shapes disagree, or a label is out of range.

    Examples:
        >>> report = evaluate(np.eye(2)[[0, 1, 1]], np.array([0, 1, 0]), ("ant", "bee"))
        >>> report.correct, report.total
        (2, 3)
    """
    total, count = len(y_N), len(classes)
    if total == 0 or logits_NC.shape != (total, count):
        raise ValueError(f"logits must have shape ({total}, {count}) with at least one row, found {logits_NC.shape}")
    if y_N.min() < 0 or y_N.max() >= count:
        raise ValueError(f"labels must be in [0, {count}), found {y_N.min()} to {y_N.max()}")
    # Imported here: the search loads this module for `Report` alone, and scikit-learn takes over a second to import.
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted_N = np.argmax(logits_NC, axis=1)
    labels = np.arange(count)
    metrics = precision_recall_fscore_support(y_N, predicted_N, labels=labels, zero_division=0)
    correct = int(np.sum(predicted_N == y_N))
    group_count = None if groups is None else len(set(groups))
    return Report(
        accuracy=correct / total,
        correct=correct,
        total=total,
        interval=wilson_interval(correct / total, total if group_count is None else group_count),
        groups=group_count,
        loss=cross_entropy(logits_NC, y_N),
        per_class=tuple(
            ClassRow(name=name, precision=float(p), recall=float(r), f1=float(f1), support=int(support))
            for name, p, r, f1, support in zip(classes, *metrics, strict=True)
        ),
        confusion=confusion_matrix(y_N, predicted_N, labels=labels).astype(np.int64),
    )


def wilson_interval(share: float, draws: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion at the level `CONFIDENCE`.

    Args:
        share: The observed proportion.
        draws: The number of independent draws.

    Returns:
        Lower and upper limit, both in [0, 1].
    """
    from scipy.stats import norm

    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    centre = (share + z**2 / (2 * draws)) / (1 + z**2 / draws)
    half = z * math.sqrt(share * (1 - share) / draws + z**2 / (4 * draws**2)) / (1 + z**2 / draws)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def cross_entropy(logits_NC: NDArray[np.floating], y_N: NDArray[np.integer]) -> float:
    """Mean cross entropy; see `row_losses`.

    Args:
        logits_NC: `(N, C)` logits.
        y_N: `(N,)` true classes.
    """
    return float(np.mean(row_losses(logits_NC, y_N)))


def row_losses(logits_NC: NDArray[np.floating], y_N: NDArray[np.integer]) -> NDArray[np.float64]:
    """Cross entropy of each row.

    Args:
        logits_NC: `(N, C)` logits.
        y_N: `(N,)` true classes.

    Returns:
        `(N,)`, `log sum exp(logits) - logit of the true class`, in nats.
    """
    logits_NC = logits_NC.astype(np.float64)
    largest_N = logits_NC.max(axis=1)  # subtracted first, as exp overflows from 710 on
    log_sum_N = largest_N + np.log(np.exp(logits_NC - largest_N[:, None]).sum(axis=1))
    loss_N: NDArray[np.float64] = log_sum_N - logits_NC[np.arange(len(y_N)), y_N]
    return loss_N
