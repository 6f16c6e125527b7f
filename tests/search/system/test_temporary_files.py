"""No room for temporary files: one line, nothing that is finished is lost, and what comes later makes up for it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from insects.errors import InsectsError
from insects.params import Recipe, TrialParams
from insects.training import init
from search.tracking.trial_runs import TrialRunLogger
from search.upload import uploader
from search.upload.worker_process import WorkerProcess
from tests.support.commands import SMALL, Finished, InlineBackground, command, contents, invoke, own
from tests.support.studies import a_config, a_failure, a_result, begun_folder, builtin_splits


@pytest.fixture
def absent(tmp_path: Path) -> str:
    """A folder for temporary files that is gone."""
    return str(tmp_path / "none")


def test_trial_that_could_not_be_drawn_is_delivered_later(
    absent: str, untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploader, "WorkerProcess", InlineBackground)
    store = own(untracked)
    bringing = uploader.Uploader(store)
    bringing.open(store.study(finished.answer["study"]))
    bringing.deliver(1)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", absent)
        bringing.deliver(0)
    best = finished.answer["best"]["number"]
    registered = bringing.finish(best, "insects-mlp", check=lambda: None)
    bringing.close()
    assert bringing.trouble == ""
    assert registered is not None
    assert contents(untracked, finished.answer["study"])["runs"] == finished.tracked["runs"]


def test_delivery_ends_well_and_says_what_was_in_the_way(
    absent: str, untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", absent)
        done = invoke(monkeypatch, "search", "--sync", "--store", str(untracked))
    study = finished.answer["study"]
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"Error: study {study}: temporary files cannot be written ([Errno 2] " in done.stderr
    assert done.stderr.count("\n") == 2
    again = invoke(monkeypatch, "search", "--sync", "--store", str(untracked))
    assert again.stdout == f"Study {finished.answer['study']}: all is in MLflow\n"
    assert contents(untracked, finished.answer["study"])["runs"] == finished.tracked["runs"]


@pytest.mark.parametrize("line", ["describe --log", "evaluate --best"])
def test_other_commands_say_it_in_one_line(
    line: str, absent: str, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, *arguments = line.split()
    monkeypatch.setattr(tempfile, "tempdir", absent)
    done = invoke(monkeypatch, name, *arguments, "--store", str(finished.store))
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert "[Errno 2] No such file or directory" in done.stderr


def test_full_disk_of_temporary_files_ends_no_search(small_disk: Path, tmp_path: Path) -> None:
    search = ("insects-search", *SMALL, "--store", str(tmp_path / "store"), "--json")
    done = command(*search, TMPDIR=str(small_disk))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["upload_error"].startswith(
        "temporary files cannot be written ([Errno 28] No space left "
    )
    assert "Traceback" not in done.stderr
    again = json.loads(command(*search).stdout)
    assert again["study_digest"] == json.loads(done.stdout)["study_digest"]
    assert (again["upload_error"], again["model"]["version"]) == (None, "1")


def test_model_is_not_exported_where_there_is_no_room_for_it(
    small_disk: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params, folder = TrialParams(depth=4, width=256, lr=0.01, batch_size=32), begun_folder(store, a_config())
    weights = init(params, Recipe(1), builtin_splits()[0].shape, 0, 0).weights
    folder.save(replace(a_result(0, params), weights=weights))
    projection = TrialRunLogger(own(store), folder)
    runs = [projection.experiment_id, projection.search_run_id, projection.deliver(0)]
    place = {"store": str(store), "tracking_uri": own(store).tracking_uri, "study": "s"}
    monkeypatch.setenv("TMPDIR", str(small_disk))
    exporter = WorkerProcess("search.upload.model_worker")
    with pytest.raises(InsectsError, match=r"temporary files cannot be written \(\[Errno 28\] No space left"):
        exporter.call("register", **place, number=0, runs=runs, name="insects-mlp", again=True).result(120)
    exporter.close()


def test_traceback_with_a_path_that_is_not_unicode_is_delivered(store: Path) -> None:
    folder = begun_folder(store, a_config())
    folder.save(replace(a_failure(0), reason='File "/home/m\udcfcller/insects.py"\nOSError: 甲虫\n'))
    projection = TrialRunLogger(own(store), folder)
    run = own(store).client().get_run(projection.deliver(0))
    assert run.data.tags["reason"] == 'File "/home/m\\udcfcller/insects.py"\nOSError: 甲虫\n'
    content = Path(run.info.artifact_uri.removeprefix("file://"), "traceback.txt").read_bytes()
    assert content.decode() == run.data.tags["reason"]
