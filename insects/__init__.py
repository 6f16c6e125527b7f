"""The core of insects-search: data, training, evaluation and figures; imports neither `search` nor Optuna, MLflow or
Click."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from insects.estimator import MLPClassifier

__all__ = ["MLPClassifier"]


def __getattr__(name: str) -> Any:
    # Loaded at its first use: scikit-learn takes seconds to import, and the commands start without it.
    if name != "MLPClassifier":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from insects.estimator import MLPClassifier

    return MLPClassifier
