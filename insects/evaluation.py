"""Evaluation of a classifier: accuracy with its confidence interval, other metrics, and the confusion matrix.

Shapes: N rows, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from insects.calibration import BINS, Calibration, calibrate, softmax
from insects.scores import roc_auc
from insects.text import NAME_LENGTH, aligned, and_more, counted, metric_text, shortened

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
        balanced_accuracy: Mean recall of the classes that have rows.
        roc_auc: Area under the ROC curve, see `insects.scores.roc_auc`; None if a class has no row.
        loss: Mean cross entropy in nats, the log loss.
        calibration: The rows by the model's confidence. It and `roc_auc` are None if a probability is not finite.
        per_class: Metrics of each class.
        confusion: `(C, C)` int64, one row per true class, one column per predicted class.
    """

    accuracy: float
    correct: int
    total: int
    interval: tuple[float, float]
    groups: int | None
    balanced_accuracy: float
    roc_auc: float | None
    loss: float
    calibration: Calibration | None
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

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error; None if a probability is not finite."""
        return None if self.calibration is None else self.calibration.error

    def as_dict(self) -> dict[str, Any]:
        """The report as a dictionary that `json.dumps` accepts."""
        return {
            "accuracy": self.accuracy,
            "correct": self.correct,
            "total": self.total,
            "interval": list(self.interval),
            "groups": self.groups,
            "balanced_accuracy": self.balanced_accuracy,
            "roc_auc": self.roc_auc,
            "loss": self.loss,
            "calibration_error": self.calibration_error,
            "per_class": [dict(row) for row in self.per_class],
            "confusion": self.confusion.tolist(),
        }

    def text(self) -> str:
        """The report as plain text of several lines."""
        rows = [
            [shortened(row["name"]), *(f"{row[key]:.4f}" for key in ("precision", "recall", "f1")), str(row["support"])]
            for row in self.per_class
        ]
        per_class = aligned([["class", "precision", "recall", "f1", "rows"], *rows])
        confusion = self._matrix_text() if len(self.per_class) <= MATRIX_CLASSES else self._mistakes_text()
        return "\n".join([*self._summary(), "", *per_class, "", *confusion])

    def _summary(self) -> list[str]:
        """One line for each metric of all rows: name, value, and what it means."""
        low, high = self.interval
        level = f"{CONFIDENCE:.0%}".replace("%", " %")
        mean = "of two classes" if len(self.per_class) == 2 else "mean of each class against the others"
        lines: list[tuple[str, float | None, str]] = [
            (
                "accuracy",
                self.accuracy,
                f"{self.correct} of {self.total} right, {level} interval {low:.4f}–{high:.4f}{self.interval_note}",
            ),
            ("balanced accuracy", self.balanced_accuracy, "mean recall of the classes"),
            ("ROC AUC", self.roc_auc, f"{mean}; 1 ranks without error, 0.5 is chance"),
            ("log loss", self.loss, "mean cross entropy in nats; 0 is certain and right"),
            ("calibration error", self.calibration_error, f"mean gap of confidence and accuracy in {BINS} bins"),
        ]
        width = max(len(name) for name, _, _ in lines)
        missing = (
            "not defined, as a probability is not finite"
            if self.calibration is None
            else "not defined, as a class has no rows"
        )
        shown = [("–", missing) if value is None else (metric_text(value), note) for _, value, note in lines]
        return [f"{line[0]:<{width}}  {value:>6}  {note}" for line, (value, note) in zip(lines, shown, strict=True)]

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
    predicted_N = np.argmax(logits_NC, axis=1)
    confusion = np.bincount(y_N * np.int64(count) + predicted_N, minlength=count**2).reshape(count, count)
    correct = int(np.trace(confusion))
    per_class = _per_class(confusion, classes)
    probability_NC = softmax(logits_NC)
    is_finite = bool(np.isfinite(probability_NC).all())
    group_count = None if groups is None else len(set(groups))
    area = None
    if is_finite and np.bincount(y_N, minlength=count).all():
        area = roc_auc(logits_NC.astype(np.float32), y_N.astype(np.int32))
    return Report(
        accuracy=correct / total,
        correct=correct,
        total=total,
        interval=wilson_interval(correct / total, total if group_count is None else group_count),
        groups=group_count,
        balanced_accuracy=float(np.mean([row["recall"] for row in per_class if row["support"]])),
        roc_auc=area,
        loss=cross_entropy(logits_NC, y_N),
        calibration=calibrate(probability_NC, y_N) if is_finite else None,
        per_class=per_class,
        confusion=confusion.astype(np.int64),
    )


def _per_class(confusion: NDArray[np.integer], classes: tuple[str, ...]) -> tuple[ClassRow, ...]:
    correct_C, support_C, predicted_C = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    precision_C, recall_C = correct_C / np.maximum(predicted_C, 1), correct_C / np.maximum(support_C, 1)
    # 2 p r / (p + r) in counts, which is also defined where precision and recall are 0
    f1_C = 2 * correct_C / np.maximum(support_C + predicted_C, 1)
    metrics = (array.tolist() for array in (precision_C, recall_C, f1_C, support_C))
    return tuple(
        ClassRow(name=name, precision=precision, recall=recall, f1=f1, support=support)
        for name, precision, recall, f1, support in zip(classes, *metrics, strict=True)
    )


def wilson_interval(share: float, draws: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion at the level `CONFIDENCE`.

    Args:
        share: The observed proportion.
        draws: The number of independent draws.

    Returns:
        Lower and upper limit, both in [0, 1].
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
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
