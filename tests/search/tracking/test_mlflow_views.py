"""The view of a study in MLflow is sorted by the study's metric."""

from __future__ import annotations

import json

import pytest

from insects.params import Metric
from search.tracking.mlflow_views import study_view


@pytest.mark.parametrize(
    ("metric", "column", "ascending"),
    [
        ("loss", "valid_loss", True),
        ("accuracy", "valid_accuracy", False),
        ("balanced-accuracy", "valid_balanced_accuracy", False),
        ("roc-auc", "valid_roc_auc", False),
    ],
)
def test_trials_are_sorted_by_the_metric_and_its_curve_is_the_first(
    metric: Metric, column: str, ascending: bool
) -> None:
    view = json.loads(study_view(metric))
    assert (view["orderByKey"], view["orderByAsc"]) == (f"metrics.`best_{column}`", ascending)
    assert f"metrics.`best_{column}`" in view["selectedColumns"]
    parallel, *curves = view["compareRunCharts"]
    assert parallel["selectedMetrics"] == [f"best_{column}"]
    assert curves[0]["metricKey"] == column
    assert {curve["metricKey"] for curve in curves} == {
        "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", column,
    }  # fmt: skip
