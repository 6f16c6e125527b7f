"""Parameters, metrics and tags of a trial's run, within MLflow's limits."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from insects import mlp
from insects.final import Finalist
from insects.objective import figures_text, history_columns
from insects.params import Metric as MetricName
from insects.params import TrialParams
from insects.trial import TrialResult
from search.store.final_record import FinalRecord
from search.study.winner import TrainedModel

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param

OUT_OF_FOLD = "out_of_fold_"
"""What the names of a finalist's metrics begin with."""

_MOST_EARLIER = 20  # epochs that were the best so far
_TAG_LENGTH, _PARAM_LENGTH = 5000, 6000  # MLflow's limits


def trial_title(number: int, params: TrialParams) -> str:
    """Return one line that names a trial in a figure."""
    return f"trial {number}: depth {params.depth}, width {params.width}, lr {params.lr:.2g}, batch {params.batch_size}"


def final_title(finalist: Finalist) -> str:
    """Return one line that names a finalist in a figure."""
    title = trial_title(finalist.number, finalist.params)
    return f"{title}; mean of {len(finalist.folds)} networks"


def model_summary(model: TrainedModel) -> str:
    """Return one line with the parameters of a model and how it was judged."""
    title = trial_title(model.number, model.params)
    if not model.folds:
        return f"{title}; {figures_text(model.figures, '.4g')} in epoch {model.step}"
    figures = ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in model.figures.items())
    return (
        f"{title}; mean of {len(model.weights)} networks, each trained with one of {model.folds} folds held out: "
        f"{figures} out of fold"
    )


def trial_params(params: TrialParams, fingerprint: dict[str, Any], shape: mlp.Shape) -> list[Param]:
    """Return the parameters of a trial's or a finalist's run.

    Args:
        params: The parameters of the trial.
        fingerprint: The study's fingerprint.
        shape: Features and classes.
    """
    return parameters(
        {
            "depth": params.depth,
            "width": params.width,
            "lr": params.lr,
            "batch_size": params.batch_size,
            "seed": fingerprint["seed"],
            "parameters": mlp.parameter_count(params, shape),
            "device": fingerprint["device"],
            "engine": fingerprint["engine"],
        }
    )


def parameters(values: dict[str, Any]) -> list[Param]:
    """Return nested values as parameters of a run: `space.depth`, `libraries.numpy`, …"""
    from mlflow.entities import Param

    return [Param(key, value[:_PARAM_LENGTH]) for key, value in _flat(values)]


def epoch_metrics(result: TrialResult) -> list[Metric]:
    """Return the metrics of every epoch, with times that share the trial's time evenly: a result keeps only that."""
    from mlflow.entities import Metric

    each = result.seconds / max(1, result.epochs)
    return [
        Metric(key, float(value), int((result.started + each * epoch) * 1000), epoch)
        for epoch, row in enumerate(result.history, start=1)
        for key, value in zip(history_columns(result.metric), row, strict=True)
    ]


def final_metrics(finalist: Finalist, time: int) -> list[Metric]:
    """Return the validation loss of each fold by epoch, and the figures out of fold.

    Args:
        finalist: The finalist.
        time: The time of the latter, in milliseconds since 1970.
    """
    from mlflow.entities import Metric

    curves = [
        Metric(f"valid_loss_fold_{fold.fold}", float(loss), ended(fold.trial), epoch)
        for fold in finalist.folds
        for epoch, loss in enumerate(fold.trial.valid_losses, start=1)
    ]
    if not finalist.is_sound:
        return curves
    return curves + [Metric(f"{OUT_OF_FOLD}{key}", value, time, 0) for key, value in finalist.figures.items()]


def best_metric_names(metric: MetricName) -> list[str]:
    """Return the names of a trial's metrics of its best epoch."""
    columns = [f"best_{name}" for name in history_columns(metric) if name.startswith("valid_")]
    return [*columns, "best_epoch"]


def best_metrics(result: TrialResult, time: int, step: int) -> list[Metric]:
    """Return the metrics of the best epoch, with a fixed time and step, so that writing them again adds nothing.

    Args:
        result: The trial.
        time: Milliseconds since 1970.
        step: The step.
    """
    from mlflow.entities import Metric

    values = [*result.best_figures.values(), float(result.best_epoch)]
    return [Metric(key, value, time, step) for key, value in zip(best_metric_names(result.metric), values, strict=True)]


def best_so_far_metrics(result: TrialResult) -> list[Metric]:
    """Return the metrics of the best epoch, and of epochs before it that were the best so far, with their steps.

    MLflow would show single values as charts of one dot, before the learning curves.
    """
    objective_E = result.objectives[: result.best_epoch]
    lowest_E = np.minimum.accumulate(objective_E)
    earlier = [
        epoch for epoch in range(1, result.best_epoch) if epoch == 1 or lowest_E[epoch - 1] < lowest_E[epoch - 2]
    ]
    earlier = earlier[:: math.ceil(len(earlier) / _MOST_EARLIER) or 1]
    metrics: list[Metric] = []
    for epoch in earlier:
        time = result.started + result.seconds * epoch / result.epochs
        metrics += best_metrics(replace(result, best_epoch=epoch), int(time * 1000), epoch)
    return metrics + best_metrics(result, ended(result), result.best_epoch)


def expected_metrics(record: FinalRecord | None, time: int, step: int) -> list[Metric]:
    """Return the accuracy to expect with its interval, and the loss out of fold, of a search with a final.

    Args:
        record: The outcome of the final; None: there was none.
        time: Milliseconds since 1970.
        step: The step.
    """
    from mlflow.entities import Metric

    if record is None or record.accuracy is None or record.loss is None:
        return []
    low, high = record.interval
    figures = {
        "expected_accuracy": record.accuracy,
        "expected_accuracy_low": low,
        "expected_accuracy_high": high,
        f"{OUT_OF_FOLD}loss": record.loss,
    }
    return [Metric(key, value, time, step) for key, value in figures.items()]


def ended(result: TrialResult) -> int:
    """Return when training ended, in milliseconds since 1970."""
    return int((result.started + result.seconds) * 1000)


def started(result: TrialResult) -> int:
    """Return when training started, in milliseconds since 1970."""
    return int(result.started * 1000)


def notes(result: TrialResult) -> dict[str, str]:
    """Return tags: why a trial ended early, and the metrics that are not finite."""
    reason = result.reason.encode(errors="backslashreplace").decode()  # a path in it need not be Unicode
    tags = {"reason": reason[-_TAG_LENGTH:]} if reason else {}
    not_finite = [
        f"{key} {value} in epoch {epoch}"
        for epoch, row in enumerate(result.history, start=1)
        for key, value in zip(history_columns(result.metric), row, strict=True)
        if not math.isfinite(value)
    ]
    if not math.isfinite(result.valid_loss):
        not_finite.append(f"best_valid_loss {result.valid_loss}")
    if not_finite:  # MLflow shows infinity as 1.8e308
        tags["not_finite"] = ", ".join(not_finite)[:_TAG_LENGTH]
    return tags


def final_notes(finalist: Finalist) -> dict[str, str]:
    """Return tags: why networks of a finalist failed."""
    reasons = [fold.trial.reason for fold in finalist.folds if not fold.trial.best_epoch]
    reason = "\n".join(reasons).encode(errors="backslashreplace").decode()
    return {"reason": reason[-_TAG_LENGTH:]} if reason else {}


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)
