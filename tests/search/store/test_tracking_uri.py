"""Tracking URIs: those that MLflow has no store for are an error before the search; the file of a SQLite URI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking._tracking_service.utils import _tracking_store_registry
from sqlalchemy.exc import ArgumentError

from insects.errors import StoreError
from search.store import tracking_uri
from search.store.tracking_uri import DATABASES, SERVERS, check_uri, database_file, without_password
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
    unusable = {"", "file", "databricks-uc", "uc"}  # in the registry, and an exception when they are used
    known = {*SERVERS, *DATABASES, *tracking_uri._OTHERS}
    assert known | unusable == set(_tracking_store_registry._registry) - tracking_uri._plugin_schemes()


@pytest.mark.parametrize("uri", USABLE)
def test_usable_uri_is_no_error(uri: str) -> None:
    check_uri(uri)
    assert callable(_tracking_store_registry.get_store_builder(uri))  # type: ignore[no-untyped-call] # MLflow's


@pytest.mark.parametrize("uri", UNUSABLE)
def test_unusable_uri_is_an_error(uri: str) -> None:
    with pytest.raises(StoreError) as error:
        check_uri(uri)
    assert str(error.value) == f"--tracking-uri, or MLFLOW_TRACKING_URI, is {uri!r}, {UNUSABLE[uri]}: {HINT}"


@pytest.mark.parametrize("uri", [uri for uri in UNUSABLE if not uri.startswith("http")])
def test_unusable_uri_is_an_error_of_mlflow_too(uri: str) -> None:
    with pytest.raises((MlflowException, ArgumentError)):
        mlflow.MlflowClient(uri).search_experiments(max_results=1)


def test_folder_is_usable_where_mlflow_allows_file_stores(monkeypatch: pytest.MonkeyPatch) -> None:
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


FILES = {
    "sqlite:///x.db": "x.db",
    "sqlite:///../x.db": "../x.db",
    "sqlite:////abs/a:b/x.db": "/abs/a:b/x.db",
    "sqlite:///x.db?timeout=30": "x.db",
    "sqlite+pysqlite:///x.db": "x.db",
    "sqlite+pysqlite:////abs/x.db?timeout=30": "/abs/x.db",
    "sqlite://": None,
    "sqlite:///": None,
    "sqlite:///:memory:": None,
    "sqlite:///file:x.db?mode=ro&uri=true": None,
    "sqlite:x.db": None,
    "postgresql://user@host/x.db": None,
    "http://host/x.db": None,
    "mlruns": None,
}


@pytest.mark.parametrize("uri", FILES)
def test_file_of_a_tracking_uri(uri: str) -> None:
    expected = FILES[uri]
    assert database_file(uri) == (None if expected is None else Path(expected))


def test_uri_of_the_stores_own_file_is_read_without_sqlalchemy(tmp_path: Path) -> None:
    script = f"""
import sys
from search.store.tracking_uri import database_file
print(database_file("sqlite:///{tmp_path}/x.db"))
print("sqlalchemy" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path}/x.db\nFalse\n"


def test_passwords_of_all_uris_in_a_text_are_hidden() -> None:
    text = "http://me:secret@host, postgresql://you:p%40ss@host/db and sqlite:////a:b/x.db"
    assert without_password(text) == "http://me:…@host, postgresql://you:…@host/db and sqlite:////a:b/x.db"
