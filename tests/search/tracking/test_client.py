"""MLflow's client: settings of the process, errors as one line, retries."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.store.db import utils

from insects.errors import DataError, StoreError
from search.store.store import Store
from search.tracking.client import configure_mlflow, mlflow_client, mlflow_errors, with_retries
from tests.support.commands import own

SERVER = "http://me:secret@127.0.0.1:9"


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings of this process are as before after each test."""
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    before, attempts, uris = (
        dict(os.environ),
        utils.MAX_RETRY_COUNT,
        (mlflow.get_tracking_uri(), mlflow.get_registry_uri()),
    )
    yield
    mlflow.set_tracking_uri(uris[0])
    mlflow.set_registry_uri(uris[1])
    utils.MAX_RETRY_COUNT = attempts
    for name in os.environ.keys() - before.keys():
        del os.environ[name]


def test_process_is_set_up_for_the_store(tmp_path: Path) -> None:
    store = own(tmp_path / "store")
    configure_mlflow(store)
    assert (tmp_path / "store" / "mlflow.db").exists()
    assert (mlflow.get_tracking_uri(), mlflow.get_registry_uri()) == (store.tracking_uri, store.tracking_uri)
    assert utils.MAX_RETRY_COUNT == 5
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "10"
    assert [experiment.name for experiment in mlflow_client(store).search_experiments()] == ["Default"]


def test_settings_of_the_user_are_kept_but_for_those_that_lose_or_double_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    monkeypatch.setenv("MLFLOW_ACTIVE_MODEL_ID", "m-1")
    configure_mlflow(own(tmp_path))
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert os.environ["MLFLOW_ENABLE_ASYNC_LOGGING"] == "false"
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    assert "MLFLOW_ACTIVE_MODEL_ID" not in os.environ


def test_server_needs_no_database_of_the_store(tmp_path: Path) -> None:
    configure_mlflow(Store.at(tmp_path / "store", SERVER))
    assert mlflow.get_tracking_uri() == SERVER
    assert not (tmp_path / "store").exists()


def test_broken_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    store = own(tmp_path)
    configure_mlflow(store)
    with pytest.raises(StoreError, match=r"^MLflow at sqlite:.*mlflow\.db does not answer as it should: ") as caught:
        mlflow_client(store).search_experiments()
    assert "\n" not in str(caught.value)


def test_missing_driver_of_a_database_is_one_line(tmp_path: Path) -> None:
    store = Store.at(tmp_path, "mysql+cymysql://me:secret@127.0.0.1:1/x")
    with pytest.raises(StoreError) as caught:
        mlflow_client(store)
    assert str(caught.value) == (
        "MLflow cannot open mysql+cymysql://me:…@127.0.0.1:1/x: No module named 'cymysql'; install its driver"
    )


@pytest.mark.parametrize(
    "error", [MlflowException("two\nlines"), requests.ConnectionError("two\nlines"), OSError("two\nlines")], ids=repr
)
def test_errors_of_mlflow_are_one_line_without_the_password(error: Exception) -> None:
    with pytest.raises(StoreError) as caught, mlflow_errors(SERVER):
        raise error
    assert str(caught.value) == "MLflow at http://me:…@127.0.0.1:9 does not answer as it should: two lines"
    assert caught.value.__cause__ is error


def test_setting_that_mlflow_cannot_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.at(tmp_path, SERVER)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "soon")
    settings = r"^MLflow cannot read its settings: .*MLFLOW_HTTP_REQUEST_TIMEOUT.*; correct or unset it$"
    with pytest.raises(StoreError, match=settings), mlflow_errors(store.tracking_uri):
        mlflow_client(store).search_experiments()


@pytest.mark.parametrize(
    "error",
    [ImportError("No module named 'font'"), ValueError("boom"), KeyError("x"), DataError("no such column")],
    ids=repr,
)
def test_other_errors_pass_unchanged(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, mlflow_errors(SERVER):
        raise error
    assert caught.value is error


def test_retry_returns_the_result_of_the_attempt_that_worked(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    errors = [StoreError("first"), StoreError("second")]

    def action() -> str:
        if errors:
            raise errors.pop(0)
        return "result"

    assert with_retries(action) == "result"
    assert pauses == [1.0, 2.0]


def test_retry_raises_the_error_of_the_last_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    errors = [StoreError("first"), StoreError("second"), StoreError("third")]

    def action() -> None:
        raise errors.pop(0)

    with pytest.raises(StoreError, match=r"^third$"):
        with_retries(action)
    assert errors == []


def test_bug_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it waited"))
    attempts: dict[str, int] = {}
    with pytest.raises(KeyError):
        with_retries(lambda: attempts["none"])
