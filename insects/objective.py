"""What a study minimizes, its objective: the validation loss, or 1 minus a score of the validation rows.

Shapes: E epochs, M columns of a history, V validation rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats
from insects.params import Metric
from insects.scores import balanced_accuracy, roc_auc
from insects.text import metric_text

METRICS = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
"""The first columns of every history. Training metrics are means over the epoch's rows, each from before its batch's
step. Losses are weighted by `insects.training.state.class_weights`."""

_SCORES: dict[Metric, Callable[[Floats, NDArray[np.int32]], float]] = {
    "balanced-accuracy": balanced_accuracy,
    "roc-auc": roc_auc,
}
_NAMES: dict[Metric, str] = {
    "loss": "loss",
    "accuracy": "accuracy",
    "balanced-accuracy": "balanced accuracy",
    "roc-auc": "ROC AUC",
}


def metric_column(metric: Metric) -> str:
    """The column of a history that holds the metric."""
    return f"valid_{metric.replace('-', '_')}"


def history_columns(metric: Metric) -> tuple[str, ...]:
    """The columns of a history: `METRICS`, and the score of the validation rows where it is none of them."""
    return METRICS + ((metric_column(metric),) if metric in _SCORES else ())


def needs_logits(metric: Metric) -> bool:
    """Whether the metric is computed from the logits of all validation rows."""
    return metric in _SCORES


def history_row(
    metric: Metric, metrics: tuple[float, float, float, float], logits_VC: Floats | None, y_V: NDArray[np.int32]
) -> tuple[float, ...]:
    """A row of a history.

    Args:
        metric: What the study is about.
        metrics: The values of `METRICS`.
        logits_VC: `(V, C)` logits of the validation rows; None unless `needs_logits(metric)`.
        y_V: `(V,)` class numbers of the validation rows.

    Returns:
        A value for each of `history_columns(metric)`; a score of logits that are not finite is NaN.
    """
    if logits_VC is None:
        return metrics
    return (*metrics, _SCORES[metric](logits_VC, y_V) if np.isfinite(logits_VC).all() else np.nan)


def objectives(history_EM: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """The objective after each epoch, lower is better.

    Args:
        history_EM: `(E, M)`, columns `history_columns(metric)`.
        metric: What the study is about.

    Returns:
        `(E,)`: the validation loss, or 1 minus the score; infinity for a score beside a loss that is not finite.
    """
    value_E = history_EM[:, history_columns(metric).index(metric_column(metric))]
    if metric == "loss":
        return value_E
    return np.where(np.isfinite(history_EM[:, METRICS.index("valid_loss")]), 1 - value_E, np.inf)


def metric_name(metric: Metric) -> str:
    """The metric in words: `loss`, `ROC AUC`."""
    return _NAMES[metric]


def objective_name(metric: Metric, rows: str = "validation ") -> str:
    """The objective in words.

    Args:
        metric: What the study is about.
        rows: What stands before the metric.

    Examples:
        >>> objective_name("loss"), objective_name("roc-auc"), objective_name("accuracy", "")
        ('validation loss', '1 - validation ROC AUC', '1 - accuracy')
    """
    return f"{'' if metric == 'loss' else '1 - '}{rows}{_NAMES[metric]}"


def figures_text(figures: dict[str, float], loss_format: str | None = None) -> str:
    """Validation metrics in words.

    Args:
        figures: Values by column of a history.
        loss_format: Format of the loss; None: that of `insects.text.metric_text`, which scores have.

    Examples:
        >>> figures_text({"valid_loss": 0.25, "valid_accuracy": 0.9, "valid_roc_auc": 0.975})
        'validation loss 0.2500, accuracy 0.9000, ROC AUC 0.9750'
    """
    names = {metric_column(metric): name for metric, name in _NAMES.items()} | {"valid_loss": "validation loss"}
    texts = {key: metric_text(value) for key, value in figures.items()}
    if loss_format is not None:
        texts["valid_loss"] = f"{figures['valid_loss']:{loss_format}}"
    return ", ".join(f"{names[key]} {text}" for key, text in texts.items())
