"""The uploads of one study: what is uploaded at its end, and what an error of MLflow leaves to the next search."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from insects.errors import StoreError
from insects.trial import TrialResult
from search.store.study_folder import StudyFolder, UploadRecord
from search.study.config import study_digest
from search.study.winner import Winner
from search.system.signals import Interrupted
from search.tracking.database import template_path
from search.upload import uploader, worker_process
from search.upload.model_worker import ModelWorker
from search.upload.runs_worker import RunsWorker
from search.upload.uploader import Uploader, upload_workers
from search.upload.worker_process import WorkerError
from tests.support.commands import Finished, InlineProcess, client_of, contents, invoke, own
from tests.support.registered_studies import study_of, without_comparison_figures, without_export

AWAY = "MLflow is away"
WINNER = Winner(number=1, folds=0)


def no_check() -> None:
    """No signal came."""


def fail(monkeypatch: pytest.MonkeyPatch, method: Callable[..., Any], error: Exception) -> None:
    """Let a method of a worker raise an error."""

    def failing(*_: object, **__: object) -> None:
        raise error

    failing.__name__ = method.__name__  # by which the worker's process is asked for it
    worker = RunsWorker if method.__qualname__.startswith("RunsWorker") else ModelWorker
    monkeypatch.setattr(worker, method.__name__, failing)


@contextmanager
def uploading(folder: StudyFolder, store: Path) -> Iterator[Uploader]:
    with upload_workers(own(store)) as workers:
        yield Uploader(workers, folder)


@pytest.fixture
def study(store: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    """A study of two trials, whose workers are in this process and leave figures of the search and models out."""
    monkeypatch.setattr(uploader, "WorkerProcess", InlineProcess)
    monkeypatch.setattr("search.tracking.client._ATTEMPTS", 1)
    without_comparison_figures(monkeypatch)
    without_export(monkeypatch)
    folder = study_of(store, "s", seed=0)
    folder.save(replace(trial(folder, 0), number=1, history=trial(folder, 0).history * 0.5))
    return folder


def trial(folder: StudyFolder, number: int) -> TrialResult:
    result = folder.load(number)
    assert result is not None
    return result


class PendingProcess:
    """Stands in for a worker process that never answers."""

    has_ended = False

    def __init__(self, worker: type[Any], *arguments: str) -> None:
        pass

    def submit(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()

    submit_next = submit

    def kill(self) -> None:
        pass

    close = kill


def test_empty_mlflow_is_filled_by_sync(untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    study = finished.answer["study"]
    done = invoke(monkeypatch, "search", "--sync", "--store", str(untracked))
    assert (done.exit_code, done.stdout) == (0, f"Study {study}: all is in MLflow\n")
    assert contents(untracked, study) == finished.tracked
    again = invoke(monkeypatch, "search", "--sync", "--store", str(untracked), "--json")
    assert again.exit_code == 0
    assert contents(untracked, study) == finished.tracked


def test_finish_uploads_registers_and_records_it(study: StudyFolder, store: Path) -> None:
    with uploading(study, store) as uploads:
        uploads.trained(trial(study, 0))
        assert uploads.backlog() == ""  # the workers of this test answer at once
        registered = uploads.finish(WINNER, "insects-mlp", no_check)
    assert registered is not None
    assert (registered.version, registered.note) == ("1", "version 1 is now best")
    assert uploads.upload_error == ""
    assert min(uploads.seconds.values()) > 0
    found = contents(store, "s")
    assert {name: run["status"] for name, (run,) in found["runs"].items()} == dict.fromkeys(
        ("search s", "trial-0000", "trial-0001"), "FINISHED"
    )
    assert [(version["run"], version["search"]) for version in found["versions"]] == [("trial-0001", "search s")]
    digest = study_digest(study.results_without_weights())
    assert study.upload_record() == UploadRecord(own(store).shown_uri, digest, "insects-mlp", "1")


def test_backlog_says_what_is_left(study: StudyFolder, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploader, "WorkerProcess", PendingProcess)
    with uploading(study, store) as uploads:
        assert uploads.backlog() == ""
        uploads.score_baselines()
        assert uploads.backlog() == "scoring baselines"
        for number in (0, 1):
            uploads.trained(trial(study, number))
        assert uploads.backlog() == "uploading 2 runs; scoring baselines"


def test_study_without_a_best_trial_registers_nothing(study: StudyFolder, store: Path) -> None:
    with uploading(study, store) as uploads:
        assert uploads.finish(None, "insects-mlp", no_check) is None
    record = study.upload_record()
    assert record is not None
    assert record.version is None
    assert contents(store, "s")["versions"] == []


def test_trials_that_cannot_be_uploaded_are_reported_once_and_uploaded_at_the_end(
    study: StudyFolder, store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with uploading(study, store) as uploads:
        with monkeypatch.context() as patch:
            fail(patch, RunsWorker.log_run, StoreError(AWAY))
            for number in (0, 1):
                uploads.trained(trial(study, number))
        assert capsys.readouterr().err == f"Trials cannot be uploaded to MLflow for now, the search goes on: {AWAY}\n"
        assert uploads.finish(WINNER, "insects-mlp", no_check) is not None
    assert uploads.upload_error == ""
    assert list(contents(store, "s")["runs"]) == ["search s", "trial-0000", "trial-0001"]


@pytest.mark.parametrize("method", [RunsWorker.run_ids, RunsWorker.log_missing, RunsWorker.compare, RunsWorker.finish])
def test_first_error_is_kept_and_no_upload_recorded(
    method: Callable[..., Any], study: StudyFolder, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, method, StoreError(AWAY))
    with uploading(study, store) as uploads:
        registered = uploads.finish(WINNER, "insects-mlp", no_check)
    assert uploads.upload_error == AWAY
    assert (registered is None) == (method.__name__ == "run_ids")
    assert study.upload_record() is None


def test_error_of_the_registry_does_not_keep_the_trials_from_mlflow(
    study: StudyFolder, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(monkeypatch, ModelWorker.register, StoreError(AWAY))
    with uploading(study, store) as uploads:
        assert uploads.finish(WINNER, "insects-mlp", no_check) is None
    assert uploads.upload_error == AWAY
    assert [run["status"] for (run,) in contents(store, "s")["runs"].values()] == ["FINISHED"] * 3
    assert study.upload_record() is None


def test_deleted_version_is_recorded_as_none(study: StudyFolder, store: Path) -> None:
    versions = []
    for _ in range(2):
        with uploading(study, store) as uploads:
            uploads.finish(WINNER, "insects-mlp", no_check)
        record = study.upload_record()
        assert record is not None
        versions.append(record.version)
        if record.version is not None:
            client_of(store).delete_model_version("insects-mlp", record.version)
    assert versions == ["1", None]


@pytest.mark.parametrize("method", [RunsWorker.log_run, RunsWorker.log_missing])
def test_bug_in_a_worker_is_raised(
    method: Callable[..., Any], study: StudyFolder, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with uploading(study, store) as uploads:
        fail(monkeypatch, method, ZeroDivisionError())
        uploads.trained(trial(study, 0))
        with pytest.raises(WorkerError, match="ZeroDivisionError"):
            uploads.finish(WINNER, "insects-mlp", no_check)


def test_failed_search_uploads_its_trials(study: StudyFolder, store: Path) -> None:
    with uploading(study, store) as uploads:
        uploads.fail(no_check)
    assert uploads.upload_error == ""
    found = contents(store, "s")
    assert {name: run["status"] for name, (run,) in found["runs"].items()} == {
        "search s": "FAILED",
        "trial-0000": "FINISHED",
        "trial-0001": "FINISHED",
    }
    assert study.upload_record() is None


def test_interrupted_search_uploads_its_trials(study: StudyFolder, store: Path) -> None:
    with uploading(study, store) as uploads:
        uploads.interrupt()
    assert uploads.upload_error == ""
    assert contents(store, "s")["runs"]["search s"][0]["status"] == "KILLED"


def test_interrupt_that_takes_too_long_leaves_the_rest_to_the_next_search(
    study: StudyFolder, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploader, "WorkerProcess", PendingProcess)
    monkeypatch.setattr(uploader, "INTERRUPT_SECONDS", 0.01)
    with uploading(study, store) as uploads:
        uploads.trained(trial(study, 0))
        assert uploads.backlog() == "uploading 1 run"
        uploads.interrupt()
    assert uploads.upload_error == "there was no time to upload all results to MLflow"


def test_signal_ends_the_uploads_of_a_failed_search(
    study: StudyFolder, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def signalled() -> None:
        raise Interrupted(2)

    monkeypatch.setattr(uploader, "WorkerProcess", PendingProcess)
    monkeypatch.setattr(worker_process, "CHECK_SECONDS", 0.01)
    with uploading(study, store) as uploads:
        uploads.fail(signalled)
        assert uploads.upload_error == "there was no time to upload all results to MLflow"
        with pytest.raises(Interrupted):
            uploads.finish(WINNER, "insects-mlp", signalled)


def test_only_the_first_database_of_a_machine_is_announced(
    study: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(uploader, "WorkerProcess", PendingProcess)
    template = template_path()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for said in ("Creating MLflow's database in the background: some seconds, once a machine\n", ""):
        with upload_workers(own(tmp_path / "empty")) as workers:
            for _ in range(2):  # studies, as `--sync` uploads them
                Uploader(workers, study)
        assert capsys.readouterr().err == said
        template_path().parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(template, template_path())
