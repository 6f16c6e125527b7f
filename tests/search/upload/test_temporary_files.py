"""Uploads without a folder or without room for temporary files: no result is lost, and a later upload completes."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from insects.errors import StoreError
from insects.params import Recipe, TrialParams
from insects.training import init
from search.study.winner import winner_of
from search.upload import uploader
from search.upload.model_worker import ModelWorker
from search.upload.uploader import Uploader, upload_workers
from tests.support.commands import SMALL, Finished, InlineProcess, command, contents, invoke, own
from tests.support.registered_studies import logger_of
from tests.support.studies import a_config, a_result, begun_folder, builtin_splits


@pytest.fixture
def absent(tmp_path: Path) -> str:
    """A folder for temporary files that was deleted."""
    return str(tmp_path / "none")


def test_trial_whose_figures_could_not_be_written_is_uploaded_later(
    absent: str,
    untracked: Path,
    finished: Finished,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(uploader, "WorkerProcess", InlineProcess)
    store = own(untracked)
    folder = store.study(finished.answer["study"])
    first, second = (folder.load(number) for number in (0, 1))
    assert first is not None
    assert second is not None
    with upload_workers(store) as workers:
        uploads = Uploader(workers, folder)
        uploads.trained(second)
        with monkeypatch.context() as patch:
            patch.setattr(tempfile, "tempdir", absent)
            uploads.trained(first)
        registered = uploads.finish(
            winner_of(folder, folder.results_without_weights()), "insects-mlp", check=lambda: None
        )
    assert uploads.upload_error == ""
    assert registered is not None
    assert contents(untracked, folder.name)["runs"] == finished.tracked["runs"]
    warning = (
        "Trials cannot be uploaded to MLflow for now, the search goes on: temporary files cannot be written ([Errno 2]"
    )
    assert warning in capsys.readouterr().err


def test_sync_without_a_folder_for_temporary_files_says_so_and_the_next_one_completes(
    absent: str, untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the attempts
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", absent)
        done = invoke(monkeypatch, "search", "--sync", "--store", str(untracked))
    study = finished.answer["study"]
    assert (done.exit_code, done.stdout) == (1, "")
    assert (
        f"Error: study {study}: temporary files cannot be written ([Errno 2] No such file or directory" in done.stderr
    )
    assert done.stderr.count("\n") == 2
    again = invoke(monkeypatch, "search", "--sync", "--store", str(untracked))
    assert again.stdout == f"Study {study}: all is in MLflow\n"
    assert contents(untracked, study)["runs"] == finished.tracked["runs"]


@pytest.mark.slow
def test_full_disk_of_temporary_files_does_not_end_the_search(
    small_disk: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = (*SMALL, "--trials", "2", "--store", str(store), "--json")
    done = command("insects-search", *search, TMPDIR=str(small_disk))
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    assert outcome["upload_error"].startswith("temporary files cannot be written ([Errno 28] No space left on device")
    assert "Traceback" not in done.stderr
    again = json.loads(invoke(monkeypatch, "search", *search).stdout)
    assert again["study_digest"] == outcome["study_digest"]
    assert (again["upload_error"], again["model"]["version"]) == (None, "1")


def test_model_that_does_not_fit_on_the_disk_is_not_exported(
    small_disk: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, folder = TrialParams(depth=4, width=256, lr=0.01, batch_size=32), begun_folder(store, a_config())
    weights = init(params, Recipe(1), builtin_splits()[0].shape, 0, 0).weights
    folder.save(replace(a_result(0, params), weights=weights))
    runs = list(astuple(logger_of(own(store), "s").log(0)))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the attempts
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    worker = ModelWorker(str(store), own(store).tracking_uri)
    full = rf"^temporary files cannot be written \({small_disk} has [0-9,]+ bytes free, [0-9,]+ are needed\): make room"
    with pytest.raises(StoreError, match=full):
        worker.register("s", 0, 0, runs, "insects-mlp", True)
    assert contents(store, "s")["versions"] == []
    assert list(small_disk.iterdir()) == []
