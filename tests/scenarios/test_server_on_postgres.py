"""`mlflow server` over PostgreSQL that asks for a password: four searches at once, and a restart of both."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from search.store.storage_url import storage_url
from tests.support import kills
from tests.support.environments import clean_environment
from tests.support.postgres import Postgres
from tests.support.servers import PASSWORD, USER, Server

LOGIN = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
SEARCHES = 4


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest.fixture(scope="module")
def server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server") / "server"
    with Server(folder, empty_database, storage_url(postgres.create("mlflow")), auth=True) as server:
        yield server


def test_wrong_password_is_one_line_and_the_search_goes_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    answer = kills.complete(monkeypatch, tmp_path / "store", "--tracking-uri", server.uri)
    assert (len(answer["trials"]), answer["model"]) == (12, None)
    assert answer["upload_error"].startswith(f"MLflow at {server.uri} does not answer as it should: ")
    assert "401" in answer["upload_error"]
    assert "wrong" not in answer["upload_error"]


def test_four_searches_and_a_restart_lose_and_double_nothing(
    undisturbed: tuple[dict[str, Any], dict[str, Any]],
    postgres: Postgres,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in LOGIN.items():
        monkeypatch.setenv(name, value)
    stores = [tmp_path / str(number) for number in range(SEARCHES)]
    searches = [
        subprocess.Popen(
            kills.command(store, "--tracking-uri", server.uri),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**clean_environment(), **LOGIN},
        )
        for store in stores
    ]
    _wait_for_runs(server, SEARCHES, searches)
    server.stop()
    postgres.stop()
    postgres.start()
    server.start()
    for search in searches:
        _, errors = search.communicate(timeout=2 * kills.END_SECONDS)
        assert search.returncode == 0, errors
    for store in stores:
        kills.sync(monkeypatch, store, server.uri)
    found, expected = kills.contents(stores[0], server.uri), undisturbed[1]
    assert found["mlflow"] == [run for run in expected["mlflow"] for _ in stores]
    aliases, versions, tags = found["registry"]
    assert (sorted(versions), len(aliases)) == (["1", "2", "3", "4"], 1)
    assert tags == expected["registry"][2] * SEARCHES
    assert [kills.optuna_trials(store) for store in stores] == [expected["optuna"]] * SEARCHES


def _wait_for_runs(server: Server, count: int, searches: list[subprocess.Popen[bytes]]) -> None:
    """Wait for runs of trials, with all searches still running."""
    client = MlflowClient(server.uri)
    until = time.monotonic() + kills.END_SECONDS
    while time.monotonic() < until and all(search.poll() is None for search in searches):
        experiment = client.get_experiment_by_name(kills.STUDY)
        trials = "tags.`insects.role` = 'trial'"
        if experiment and len(client.search_runs([experiment.experiment_id], trials)) >= count:
            return
        time.sleep(0.1)
    raise AssertionError("the searches did not get that far")
