"""What a study keeps of the last evaluation of its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from search.store.schema import Schema

_SCORE: Schema = {"name": str, "accuracy": float, "loss": float}
_CLASS: Schema = {"name": str, "precision": float, "recall": float, "f1": float, "support": int}

EVALUATION: Schema = {
    "version": str,
    "source": str,
    "looks": int,
    "seen": int | None,
    "unit": str,
    "report": {
        "accuracy": float,
        "correct": int,
        "total": int,
        "interval": [float, float],
        "groups": int | None,
        "balanced_accuracy": float,
        "roc_auc": float | None,
        "loss": float,
        "calibration_error": float | None,
        "per_class": [_CLASS],
        "confusion": [[int]],
    },
    "baselines": [_SCORE],
}
"""The schema of its file."""


@dataclass(frozen=True)
class EvaluationRecord:
    """An evaluation, ready for JSON.

    Attributes:
        version: The version of the registered model.
        source: The name of the test data.
        looks: Evaluations of this search on this data, this one included.
        seen: Rows that the search trained on or validated with; None if that is not known.
        unit: What a row is to the user, `row` or `image`.
        report: What `insects.evaluation.Report.as_dict` returns.
        baselines: `insects.baselines.Score.as_dict` of each baseline on the same rows.
    """

    version: str
    source: str
    looks: int
    seen: int | None
    unit: str
    report: dict[str, Any]
    baselines: list[dict[str, Any]]
