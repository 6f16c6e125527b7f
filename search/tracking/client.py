"""MLflow's client: settings of the process, errors as one line, retries."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from insects.errors import StoreError
from search.store.store import Store
from search.store.tracking_uri import without_password
from search.tracking.database import create_database
from search.tracking.mlflow_internals import limit_connection_attempts

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FORCED = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # a repeated request whose first answer was lost would make a second run
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",  # a batch lost in the background would leave a finished run incomplete
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",  # a pt2 file may hold a pickle
}
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # MLflow's own 120 s would block the upload of an absent server
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_CONNECTION_ATTEMPTS = 5  # 3 s in all
_ATTEMPTS = 3

_Result = TypeVar("_Result")


def configure_mlflow(store: Store) -> None:
    """Set up MLflow in this process for a store: environment, tracking URI, and the SQLite file if there is none.

    It is called once, when the process starts; some of MLflow reads its settings from globals only.

    Raises:
        StoreError: The database cannot be created, or MLflow cannot read a setting of the environment.
    """
    set_environment()
    with mlflow_errors(store.tracking_uri):
        import mlflow

        if not store.is_server:
            limit_connection_attempts(_CONNECTION_ATTEMPTS)
        if store.database is not None:
            create_database(store.database)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it also raises what it logs
        mlflow.set_tracking_uri(store.tracking_uri)
        mlflow.set_registry_uri(store.tracking_uri)


def connect(store: Store) -> MlflowClient:
    """Set up MLflow in this process for a store, and return a client; see `configure_mlflow` and `mlflow_client`."""
    configure_mlflow(store)
    return mlflow_client(store)


def set_environment() -> None:
    """Set MLflow's environment in this process. It reads some of it when it is imported."""
    os.environ.update({**_DEFAULTS, **os.environ, **_FORCED})
    os.environ.pop("MLFLOW_ACTIVE_MODEL_ID", None)  # MLflow would link the metrics of all runs to that model


@contextmanager
def configured_mlflow(store: Store) -> Iterator[MlflowClient]:
    """Set up MLflow for a store, as `configure_mlflow` does, and set it back after the block.

    For a process that is the caller's, who may use MLflow too.

    Raises:
        StoreError: See `configure_mlflow` and `mlflow_client`.
    """
    environment = dict(os.environ)
    set_environment()
    with mlflow_errors(store.tracking_uri):
        import mlflow

        uris = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    try:
        configure_mlflow(store)
        yield mlflow_client(store)
    finally:
        mlflow.set_tracking_uri(uris[0])
        mlflow.set_registry_uri(uris[1])
        os.environ.clear()
        os.environ.update(environment)


def mlflow_client(store: Store) -> MlflowClient:
    """Return a client of a store's MLflow, for which `configure_mlflow` was called.

    Raises:
        StoreError: MLflow does not answer, or the driver of its database is not installed.
    """
    with mlflow_errors(store.tracking_uri):
        from mlflow import MlflowClient

        try:
            return MlflowClient(store.tracking_uri)
        except ImportError as error:
            raise StoreError(f"MLflow cannot open {store.shown_uri}: {_one_line(error)}; install its driver") from error


@contextmanager
def mlflow_errors(uri: str) -> Iterator[None]:
    """Turn the errors of calls to MLflow into one line. Only such calls belong into the block.

    Args:
        uri: The tracking URI.

    Raises:
        StoreError: In place of the errors of MLflow, requests and SQLAlchemy, of an OSError, and of a ValueError about
            a setting in the environment.
    """
    try:
        import requests
        import sqlalchemy.exc
        from mlflow.exceptions import MlflowException

        failures = (MlflowException, requests.RequestException, sqlalchemy.exc.SQLAlchemyError, OSError)
        try:
            yield
        except failures as error:
            place = without_password(uri)
            raise StoreError(f"MLflow at {place} does not answer as it should: {_one_line(error)}") from error
    except ValueError as error:
        if "MLFLOW_" not in str(error):
            raise
        raise StoreError(f"MLflow cannot read its settings: {_one_line(error)}; correct or unset it") from error


def with_retries(action: Callable[[], _Result]) -> _Result:
    """Call `action` up to three times, with pauses of 1 and 2 s, and return its result.

    The action must look up what it creates before it creates it: the answer to an attempt that worked may be lost.

    Raises:
        StoreError: The error of the last attempt.
    """
    for attempt in range(_ATTEMPTS - 1):
        try:
            return action()
        except StoreError:
            time.sleep(2.0**attempt)
    return action()


def _one_line(error: Exception) -> str:
    return without_password(" ".join(str(error).split()))[:300]
