"""The parts of MLflow that are below its public API. An upgrade of MLflow has to look here."""

from __future__ import annotations

from typing import Any


def limit_connection_attempts(attempts: int) -> None:
    """Limit how often MLflow tries to connect to a database; its own 10 attempts take 100 s."""
    from mlflow.store.db import utils

    utils.MAX_RETRY_COUNT = attempts


def artifact_repository(uri: str, tracking_uri: str) -> Any:
    """Return the files of a run. The client's own methods would request the run again to learn the URI.

    Args:
        uri: The run's artifact URI.
        tracking_uri: The tracking URI of its MLflow.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri, tracking_uri=tracking_uri)
