"""Logits and true classes -> `Report`: accuracy with its interval, figures of each class, confusion matrix.

Shapes: N rows, C classes, G groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from insects.text import NAME_LENGTH, aligned, counted, cut, shortened

CONFIDENCE = 0.95
MATRIX_CLASSES = 20
"""With more classes than this a report's text lists the most frequent mistakes in place of the matrix."""


class ClassRow(TypedDict):
    """One class in a report. support: rows that truly are of it; a ratio with nothing to divide by is 0."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Report:
    """How a model did on labelled rows.

    interval: Wilson's 95 % interval of the accuracy. groups: how many different things the rows show, if several show
    the same one; None: each row stands for itself. loss: mean cross entropy in nats. per_class: in the order of
    `classes`. confusion: `(C, C)` int64, a row a true class, a column a predicted one.
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
        """What the interval stands on, where that is not the rows."""
        return "" if self.groups is None else f", each of {counted(self.groups, 'group')} counted once"

    def as_dict(self) -> dict[str, Any]:
        """The report in numbers, strings, lists and dicts alone, ready for `json.dumps`."""
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
        unnamed = sum(int(mistakes[pair]) for pair in pairs[MATRIX_CLASSES:])
        more = cut(len(pairs) - len(rows), f"pairs, {counted(unnamed, 'row')}")
        return [*aligned([["true", "predicted as", "rows"], *rows]), *more]


def evaluate(
    logits_NC: NDArray[np.floating],
    y_N: NDArray[np.integer],
    classes: tuple[str, ...],
    groups: Sequence[str] | None = None,
) -> Report:
    """Compare each row's largest logit with its true class; ties go to the lower class.

    Args: logits_NC: `(N, C)`. y_N: `(N,)` in `[0, C)`. classes: C names. groups: N names of what the rows show.
    The interval is Wilson's (JASA 22 (1927), 209-212) for N draws, or with groups for G: several frames of one specimen
    tell little more than one, and nobody knows how much.
    Raises: ValueError: N is 0, the shapes disagree, or a label is no class.
    """
    total, count = len(y_N), len(classes)
    if total == 0 or logits_NC.shape != (total, count):
        raise ValueError(f"logits must have shape ({total}, {count}) with at least one row, found {logits_NC.shape}")
    if y_N.min() < 0 or y_N.max() >= count:
        raise ValueError(f"labels must be in [0, {count}), found {y_N.min()} to {y_N.max()}")
    # Imported here: it takes seconds, and the search does not need it.
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    predicted_N = np.argmax(logits_NC, axis=1)
    labels = np.arange(count)
    figures = precision_recall_fscore_support(y_N, predicted_N, labels=labels, zero_division=0)
    correct = int(np.sum(predicted_N == y_N))
    count_of_groups = None if groups is None else len(set(groups))
    return Report(
        accuracy=correct / total,
        correct=correct,
        total=total,
        interval=wilson_interval(correct / total, total if count_of_groups is None else count_of_groups),
        groups=count_of_groups,
        loss=cross_entropy(logits_NC, y_N),
        per_class=tuple(
            ClassRow(name=name, precision=float(p), recall=float(r), f1=float(f1), support=int(support))
            for name, p, r, f1, support in zip(classes, *figures, strict=True)
        ),
        confusion=confusion_matrix(y_N, predicted_N, labels=labels).astype(np.int64),
    )


def wilson_interval(share: float, draws: int) -> tuple[float, float]:
    """Limits between which the true share is with `CONFIDENCE`, after a share of some draws was seen."""
    from scipy.stats import norm

    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    centre = (share + z**2 / (2 * draws)) / (1 + z**2 / draws)
    half = z * math.sqrt(share * (1 - share) / draws + z**2 / (4 * draws**2)) / (1 + z**2 / draws)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def cross_entropy(logits_NC: NDArray[np.floating], y_N: NDArray[np.integer]) -> float:
    """Mean over rows of `log sum exp(logits) - logit of the true class`, in nats."""
    logits = logits_NC.astype(np.float64)
    largest_N = logits.max(axis=1)
    log_sum_N = largest_N + np.log(np.exp(logits - largest_N[:, None]).sum(axis=1))
    return float(np.mean(log_sum_N - logits[np.arange(len(y_N)), y_N]))
