"""A search that writes its trials to a PostgreSQL which is away, comes back, or is used by another search."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from click.testing import Result
from optuna.storages import RDBStorage
from sqlalchemy import NullPool

from insects.trial import TrialResult
from search.store.storage_url import storage_url
from search.store.study_folder import StudyFolder
from search.upload.storage_worker import StorageWorker
from tests.support import kills
from tests.support.commands import InlineProcess, RefusingProcess, invoke, searching
from tests.support.postgres import Postgres

SEARCH = ("--trials", "10", "--epochs", "2", "--width", "8:16", "--finalists", "0", "--study", "s")


@pytest.fixture
def server() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


def without_mlflow(worker: type[Any], *arguments: str) -> Any:
    """Stands in for `WorkerProcess`: the worker that writes to the database is here, MLflow is away."""
    if worker is StorageWorker:
        return InlineProcess(worker, *arguments)
    return RefusingProcess(worker, *arguments)


Search = Callable[..., Result]


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Search:
    """Runs the command with a store and a database, and further options."""

    def run(store: Path, url: str, *more: str) -> Result:
        place = ("--store", str(store), "--storage", url)
        return invoke(monkeypatch, "search", *more, *place, workers=without_mlflow)  # type: ignore[arg-type]

    return run


def answer_of(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def losses(url: str) -> list[tuple[int, float | None]]:
    """Number and value of each trial in the database."""
    storage = RDBStorage(storage_url(url), engine_kwargs={"poolclass": NullPool})
    return [(trial.number, trial.value) for trial in optuna.load_study(study_name="s", storage=storage).trials]


def expected(answer: dict[str, Any]) -> list[tuple[int, float]]:
    """What the database has of a study that is complete there."""
    return [(trial["number"], trial["valid_loss"]) for trial in answer["trials"]]


def test_database_that_is_away_stops_nothing_and_sync_completes_it(
    server: Postgres, tmp_path: Path, search: Search
) -> None:
    url = server.create("optuna")
    server.stop()
    done = search(tmp_path / "store", url, *SEARCH, "--json")
    answer = answer_of(done)
    assert len(answer["trials"]) == 10
    said = [line for line in done.stderr.splitlines() if "the search goes on: " in line and "MLflow" not in line]
    assert len(said) == 1
    assert said[0].startswith(
        "Trials cannot be written to the database for now, the search goes on: postgresql+psycopg:"
    )
    assert answer["storage_error"] in said[0]
    server.start()
    synced = search(tmp_path / "store", url, "--sync", "--json")
    assert json.loads(synced.stdout)["studies"][0]["storage_error"] is None
    assert losses(url) == expected(answer)


def test_server_that_restarts_in_the_middle_loses_and_doubles_nothing(
    server: Postgres, tmp_path: Path, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, save = server.create("optuna"), StudyFolder.save

    def saved(folder: StudyFolder, *results: TrialResult) -> None:
        save(folder, *results)
        numbers = [result.number for result in results]
        if 5 in numbers:
            server.stop()
        if 9 in numbers:
            server.start()

    monkeypatch.setattr(StudyFolder, "save", saved)
    monkeypatch.setattr("search.upload.storage_worker.RETRY_SECONDS", 0.0)
    done = search(tmp_path / "store", url, *SEARCH, "--workers", "1", "--json")
    answer = answer_of(done)
    assert "Trials cannot be written to the database for now" in done.stderr
    assert answer["storage_error"] is None
    assert losses(url) == expected(answer)


def test_second_coordinator_is_refused_and_a_killed_one_goes_on_at_once(
    server: Postgres, tmp_path: Path, search: Search
) -> None:
    url = server.create("optuna")
    first, second = tmp_path / "first", tmp_path / "second"
    long = (*SEARCH, "--trials", "100000")
    with searching(*long, "--store", str(first), "--storage", url, "--tracking-uri", "http://127.0.0.1:9") as process:
        refused = search(second, url, *SEARCH)
        for pid in [process.pid, *kills.children(process.pid)]:
            os.kill(pid, signal.SIGKILL)
        process.communicate()
    assert refused.exit_code == 1
    last = refused.stderr.splitlines()[-1]
    assert last.startswith("Error: study s is being searched from ")
    assert f":{first}: wait for it, or choose another --study; if that search has crashed, the database frees" in last
    assert search(second, url, *SEARCH).exit_code == 1  # the lease of the killed one still holds
    trials = str(len(list((first / "trials" / "s").glob("[0-9]*.npz"))) + 4)
    answer = answer_of(search(first, url, *SEARCH, "--trials", trials, "--json"))
    assert answer["storage_error"] is None
    assert losses(url) == expected(answer)
    assert search(second, url, *SEARCH).exit_code == 0  # it ended, and freed the study
