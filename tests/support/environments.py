"""Environments of the processes that tests start."""

from __future__ import annotations

import os


def clean_environment() -> dict[str, str]:
    """Return the environment without the variables that MLflow sets for its own processes."""
    return {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
