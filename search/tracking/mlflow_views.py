"""How MLflow's pages show a study: the trials, best first, their parameters side by side, and their curves.

MLflow keeps a shared view as a tag of the experiment, in a format of its pages that is not documented
(`ExperimentPageUIState` in its sources). Pages that do not know a part of it leave that part out.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from insects.objective import history_columns, metric_column
from insects.params import Metric, TrialParams
from search.tracking.run_values import best_metric_names
from search.tracking.tags import ROLE_TAG

_KEY = "insects"
VIEW_TAG = f"mlflow.sharedViewState.{_KEY}"

_PARAMETERS = [field.name for field in fields(TrialParams)]


def study_view(metric: Metric) -> str:
    """Return the view as the value of the experiment's tag `VIEW_TAG`.

    Args:
        metric: What the study is about: the trials are sorted by it.
    """
    best, column = best_metric_names(metric), metric_column(metric)
    columns = [f"params.`{name}`" for name in _PARAMETERS] + [f"metrics.`{name}`" for name in best[:-1]]
    curves = sorted(history_columns(metric), key=lambda name: (name != column, not name.startswith("valid")))
    view = {
        "searchFilter": f"tags.`{ROLE_TAG}` = 'trial'",
        "orderByKey": f"metrics.`best_{column}`",
        "orderByAsc": metric == "loss",
        "selectedColumns": columns,
        "runsHiddenMode": "FIRST_10_RUNS",
        "isAccordionReordered": True,
        "compareRunSections": [
            _section("trials", "All trials", columns=1, cardHeight=420),
            _section("curves", "Learning curves of the best", columns=2),
        ],
        "compareRunCharts": [
            _parallel_coordinates("trials", f"best_{column}"),
            *(_curve("curves", name) for name in curves),
        ],
    }
    return json.dumps(view, separators=(",", ":"))


def comparison_link(address: str, experiment_id: str) -> str:
    """Return the link to the view as a table, among the pages for training runs.

    MLflow takes columns from a shared view only, and says above it that it shows one.

    Args:
        address: The URL of MLflow's pages.
        experiment_id: The study's experiment.
    """
    mode = f"workflowType=machine_learning&viewStateShareKey={_KEY}"
    return f"{address}/#/experiments/{experiment_id}/runs?{mode}"


def _section(uuid: str, name: str, **layout: int) -> dict[str, Any]:
    kept = {"display": True, "isReordered": True, "deleted": False, "isGenerated": False}
    return {"uuid": uuid, "name": name, **kept, **layout}


def _parallel_coordinates(section: str, objective: str) -> dict[str, Any]:
    axes = {"selectedParams": _PARAMETERS, "selectedMetrics": [objective]}
    return {**_chart("parallel", "PARALLEL", section), **axes, "showAllRuns": True}


def _curve(section: str, metric: str) -> dict[str, Any]:
    return {
        **_chart(metric, "LINE", section),
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "xAxisKey": "step",
        "scaleType": "log" if metric.endswith("loss") else "linear",
        "lineSmoothness": 0,
    }


def _chart(uuid: str, kind: str, section: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "type": kind,
        "metricSectionId": section,
        "deleted": False,
        "isGenerated": False,
        "runsCountToCompare": 10,
    }
