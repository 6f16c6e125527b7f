"""A tracking URI that MLflow cannot take is refused before the search, and no other one is."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service.utils import _tracking_store_registry
from sqlalchemy.exc import ArgumentError

from insects.errors import StoreError
from search.store import tracking_uri
from search.store.tracking_uri import DATABASES, SERVERS, check_uri
from tests.support.commands import SMALL, invoke

HINT = "name a server, http://HOST:PORT, or a database, sqlite:///FILE, postgresql://…, mysql://… or mssql://…"

USABLE = [
    "http://127.0.0.1:5000",
    "https://user:secret@tracking.example/path",
    "HTTP://[::1]:5000",
    "sqlite:///a.db",
    "sqlite+pysqlite:////tmp/a.db",
    "postgresql+psycopg2://u:p@host/db",
    "mysql://host/db",
    "mssql+pyodbc://dsn",
    "databricks",
    "databricks://profile",
]
UNUSABLE = {
    "foo://bar": "which MLflow has no store for",
    "postgres://host/db": "which MLflow has no store for",
    "databricks-uc": "a folder, in which MLflow no longer keeps runs",
    "uc:catalog": "which MLflow has no store for",
    "runs": "a folder, in which MLflow no longer keeps runs",
    "/srv/runs": "a folder, in which MLflow no longer keeps runs",
    "file:///srv/runs": "a folder, in which MLflow no longer keeps runs",
    "http:///5000": "which names no host",
    "http:tracking": "which names no host",
    "http://host:port": "which is no URI (Port could not be cast to integer value as 'port')",
    "http://[::1": "which is no URI (Invalid IPv6 URL)",
    "sqlite:a.db": "which lacks the // of sqlite://",
}


def test_schemes_are_those_of_mlflows_own_registry() -> None:
    refused_by_mlflow = {"", "file", "databricks-uc", "uc"}  # in the registry, and an exception when they are used
    known = {*SERVERS, *DATABASES, *tracking_uri._ELSEWHERE}
    assert known | refused_by_mlflow == set(_tracking_store_registry._registry) - tracking_uri._plugins()


@pytest.mark.parametrize("uri", USABLE)
def test_usable_uri_is_taken(uri: str) -> None:
    check_uri(uri)
    assert callable(_tracking_store_registry.get_store_builder(uri))  # type: ignore[no-untyped-call] # MLflow's


@pytest.mark.parametrize("uri", UNUSABLE)
def test_unusable_uri_is_refused(uri: str) -> None:
    with pytest.raises(StoreError) as error:
        check_uri(uri)
    assert str(error.value) == f"--tracking-uri, or MLFLOW_TRACKING_URI, is {uri!r}, {UNUSABLE[uri]}: {HINT}"


@pytest.mark.parametrize("uri", [uri for uri in UNUSABLE if not uri.startswith("http")])
def test_what_is_refused_mlflow_refuses_too(uri: str) -> None:
    with pytest.raises((MlflowException, ArgumentError)):
        mlflow.MlflowClient(uri).search_experiments(max_results=1)


def test_folder_that_mlflow_was_told_to_keep_runs_in_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreError, match="a folder, in which MLflow no longer keeps runs"):
        check_uri("file:///srv/runs")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    check_uri("file:///srv/runs")


def test_search_does_not_begin_with_an_unusable_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "store"
    done = invoke(monkeypatch, "search", *SMALL, "--store", str(store), "--tracking-uri", "foo://u:secret@host\nx")
    assert (done.exit_code, done.stdout) == (1, "")
    uri = r"'foo://u:…@host\nx'"
    expected = f"Error: --tracking-uri, or MLFLOW_TRACKING_URI, is {uri}, which MLflow has no store for: {HINT}\n"
    assert done.stderr == expected
    assert not store.exists()
