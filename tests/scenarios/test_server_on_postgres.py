"""`mlflow server` over PostgreSQL: a wrong password, restarts in the middle, and four searches at once."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from insects.trial import TrialResult
from search.store.storage_url import storage_url
from search.store.study_folder import StudyFolder
from tests.support import kills
from tests.support.environments import clean_environment
from tests.support.postgres import Postgres
from tests.support.servers import PASSWORD, USER, Server

SEARCHES = 4
SHORT = ("--trials", "4", "--finalists", "1")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
def server(
    request: pytest.FixtureRequest, postgres: Postgres, tmp_path: Path, empty_database: Path
) -> Iterator[Server]:
    """A server with a database of its own; with the parameter True it asks for a password."""
    database = storage_url(postgres.create(f"mlflow{time.time_ns()}"))
    with Server(tmp_path / "server", empty_database, database, auth=getattr(request, "param", False)) as server:
        yield server


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> dict[str, Any]:
    """The contents of a store with the short study, if nothing disturbs it."""
    store = tmp_path_factory.mktemp("short")
    shutil.copy(empty_database, store)
    with pytest.MonkeyPatch.context() as patch:
        kills.complete(patch, store, *SHORT)
    return kills.contents(store)


def restart(server: Server, postgres: Postgres) -> None:
    server.stop()
    postgres.stop()
    postgres.start()
    server.start()


@pytest.mark.parametrize("server", [True], indirect=True)
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


def test_study_whose_servers_restart_in_the_middle_equals_an_undisturbed_one(
    undisturbed: tuple[dict[str, Any], dict[str, Any]],
    postgres: Postgres,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, save = postgres.create("optuna"), StudyFolder.save
    restarted: list[int] = []

    def saved(folder: StudyFolder, *results: TrialResult) -> None:
        save(folder, *results)
        numbers = [result.number for result in results]
        if 4 in numbers:
            server.stop()
            postgres.stop()
        if 8 in numbers:
            restarted.append(len(folder.numbers()))
            postgres.start()
            server.start()

    monkeypatch.setattr(StudyFolder, "save", saved)
    for worker in ("runs_worker", "storage_worker"):
        monkeypatch.setattr(f"search.upload.{worker}.RETRY_SECONDS", 0.0)
    places = ("--tracking-uri", server.uri, "--storage", url)
    answer = kills.complete(monkeypatch, tmp_path / "store", *places, "--workers", "1")
    assert restarted == [9]
    assert (answer["upload_error"], answer["storage_error"]) == (None, None)
    assert answer["study_digest"] == undisturbed[0]["study_digest"]
    found = kills.contents(tmp_path / "store", server.uri, url)
    assert found == undisturbed[1]


@pytest.mark.parametrize("server", [True], indirect=True)
def test_four_searches_and_a_restart_lose_and_double_nothing(
    short: dict[str, Any], postgres: Postgres, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    stores = [tmp_path / str(number) for number in range(SEARCHES)]
    searches = [
        subprocess.Popen(
            kills.command(store, *SHORT, "--tracking-uri", server.uri),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**clean_environment(), **password},
        )
        for store in stores
    ]
    try:
        _wait_for_runs(server.backend, SEARCHES, searches)
        restart(server, postgres)
        for search in searches:
            _, errors = search.communicate(timeout=kills.END_SECONDS)
            assert search.returncode == 0, errors
    finally:
        for search in searches:
            search.kill()
            search.communicate()
    for name, value in password.items():
        monkeypatch.setenv(name, value)
    for store in stores:
        kills.sync(monkeypatch, store, server.uri)
    found = kills.contents(stores[0], server.uri)
    assert found["mlflow"] == [run for run in short["mlflow"] for _ in stores]
    aliases, versions, tags = found["registry"]
    assert (sorted(versions), len(aliases)) == (["1", "2", "3", "4"], 1)
    assert tags == short["registry"][2] * SEARCHES
    assert [kills.optuna_trials(store) for store in stores] == [short["optuna"]] * SEARCHES


def _wait_for_runs(database: str, count: int, searches: list[subprocess.Popen[str]]) -> None:
    """Wait for runs of trials, with all searches still running. Asks the database, which costs the server nothing."""
    engine = create_engine(database, poolclass=NullPool)
    trials = text("SELECT count(*) FROM tags WHERE key = 'insects.role' AND value = 'trial'")
    until = time.monotonic() + kills.END_SECONDS
    while time.monotonic() < until and all(search.poll() is None for search in searches):
        with engine.connect() as connection:
            if connection.execute(trials).scalar_one() >= count:
                return
        time.sleep(0.1)
    raise AssertionError("the searches did not get that far")
