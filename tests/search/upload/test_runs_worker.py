"""The worker that writes trials' runs: lost answers, an absent MLflow, and the study's lock."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from insects.errors import StoreError
from insects.plots import TrialFigures
from search.system.lock import LockHeldError, hold
from search.tracking.trial_runs import TrialRunLogger
from search.upload import runs_worker
from search.upload.runs_worker import RunsWorker
from tests.support.commands import client_of, contents, own
from tests.support.registered_studies import study_of, without_comparison_figures


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between attempts


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return without_comparison_figures(monkeypatch)


def two_trials(store: Path, study: str = "s") -> None:
    folder = study_of(store, study, seed=0)
    first = folder.load(0)
    assert first is not None
    folder.save(replace(first, number=1, history=first.history * 0.5))


@pytest.fixture
def worker(store: Path) -> Iterator[RunsWorker]:
    """A worker that has opened a study of two trials."""
    two_trials(store)
    worker = RunsWorker(str(store), own(store).tracking_uri)
    worker.open("s")
    yield worker
    worker.close()


def upload(worker: RunsWorker) -> None:
    worker.log_run(0, 0)
    worker.log_missing()
    worker.compare()
    worker.finish("FINISHED")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> dict[str, Any]:
    """What MLflow holds of the study when every request is answered."""
    store = tmp_path_factory.mktemp("undisturbed")
    shutil.copy(empty_database, store)
    two_trials(store)
    worker = RunsWorker(str(store), own(store).tracking_uri)
    worker.open("s")
    with pytest.MonkeyPatch.context() as patch:
        without_comparison_figures(patch)
        upload(worker)
    worker.close()
    return contents(store, "s")


def losing_once(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, whose first call does its work and raises."""
    lost: list[None] = []

    def call(*arguments: Any, **options: Any) -> Any:
        result = method(*arguments, **options)
        if not lost:
            lost.append(None)
            raise ConnectionError("the answer was lost")
        return result

    return call


REQUESTS = ("create_experiment", "create_run", "log_inputs", "log_artifacts", "log_batch", "set_tag", "set_terminated")


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("request_name", REQUESTS)
def test_lost_answer_neither_loses_nor_doubles_anything(
    request_name: str,
    worker: RunsWorker,
    store: Path,
    undisturbed: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MlflowClient, request_name, losing_once(getattr(MlflowClient, request_name)))
    upload(worker)
    assert contents(store, "s") == undisturbed


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("step", ["_create", "_write"])
def test_lost_answer_about_a_trials_run_makes_no_second_one(
    step: str, worker: RunsWorker, store: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrialRunLogger, step, losing_once(getattr(TrialRunLogger, step)))
    upload(worker)
    assert contents(store, "s") == undisturbed


def test_run_of_the_asked_trial_is_written_first(worker: RunsWorker, store: Path) -> None:
    runs = worker.run_ids(1, 0)
    assert client_of(store).get_run(runs.model).data.tags["insects.trial"] == "1"
    assert client_of(store).get_run(runs.search).data.tags["insects.role"] == "search"
    assert client_of(store).get_run(runs.model).info.experiment_id == runs.experiment
    assert list(contents(store, "s")["runs"]) == ["search s", "trial-0001"]
    assert worker.run_ids(1, 0) == runs


@pytest.mark.usefixtures("written")
def test_seconds_are_those_of_the_study(worker: RunsWorker, store: Path) -> None:
    worker.log_missing()
    once = dict(worker.seconds())
    assert min(once.values()) > 0
    worker.log_missing()
    assert worker.seconds() == once
    worker.compare()
    assert worker.seconds()["tracking"] > once["tracking"]
    two_trials(store, "other")
    worker.open("other")
    assert worker.seconds() == {"figures": 0.0, "tracking": 0.0}


def test_absent_mlflow_is_asked_again_after_some_seconds(
    worker: RunsWorker, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, asked = 100.0, []

    def away(*_: object) -> TrialRunLogger:
        asked.append(now)
        raise StoreError("MLflow is away")

    monkeypatch.setattr(time, "monotonic", lambda: now)
    with monkeypatch.context() as patch:
        patch.setattr(runs_worker, "TrialRunLogger", away)
        with pytest.raises(StoreError, match=r"^MLflow is away$"):
            worker.log_run(0, 0)
        assert asked == [100.0, 100.0]
        worker.log_run(1, 0)  # not now
        now = 100.0 + runs_worker.RETRY_SECONDS - 0.1
        worker.log_run(1, 0)
        assert asked == [100.0, 100.0]
        with pytest.raises(StoreError, match=r"^MLflow is away$"):
            worker.log_missing()  # at the end of a search it is asked, three times
        assert asked[2:] == [now] * 3
    now += runs_worker.RETRY_SECONDS
    worker.log_run(1, 0)
    assert list(contents(store, "s")["runs"]) == ["search s", "trial-0001"]


def test_study_that_another_process_uploads_is_left_to_it(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two_trials(store)
    monkeypatch.setattr(runs_worker, "LOCK_SECONDS", 0.0)
    late = RunsWorker(str(store), own(store).tracking_uri)
    with hold(own(store).study("s").path / "upload.lock"):
        with pytest.raises(LockHeldError, match=r"upload\.lock is held by process"):
            late.open("s")
        calls: list[Callable[[], object]] = [
            lambda: late.log_run(0, 0),
            late.log_missing,
            late.compare,
            lambda: late.finish("FINISHED"),
        ]
        for call in calls:
            with pytest.raises(
                StoreError, match=r"^process \d+ on .* is uploading study s to MLflow: try again when it has ended$"
            ):
                call()
    assert client_of(store).get_experiment_by_name("s") is None
    late.log_run(0, 0)  # the lock is free by now
    late.close()
    assert list(contents(store, "s")["runs"]) == ["search s", "trial-0000"]


def test_lock_is_held_until_the_worker_opens_another_study_or_closes(worker: RunsWorker, store: Path) -> None:
    lock = own(store).study("s").path / "upload.lock"
    with pytest.raises(LockHeldError):
        hold(lock)
    two_trials(store, "other")
    worker.open("other")
    hold(lock).close()
    worker.close()
    hold(own(store).study("other").path / "upload.lock").close()


def test_bug_in_drawing_is_not_taken_for_an_absent_mlflow(
    worker: RunsWorker, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(TrialFigures, "loss_curves", bug)
        with pytest.raises(ZeroDivisionError):
            worker.log_run(0, 0)
    worker.log_run(0, 0)  # at once
    assert list(contents(store, "s")["runs"]) == ["search s", "trial-0000"]
