"""`insects-search --sync`: what it reports of each study, and when it moves the alias."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from insects.errors import StoreError
from search.store.study_folder import StudyFolder
from search.upload.uploader import Uploader
from tests.support.commands import Finished, client_of, contents, invoke
from tests.support.registered_studies import registered, study_of

OTHER_DATA = "ff" * 32


def sync(monkeypatch: pytest.MonkeyPatch, store: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, and stderr without the lines of progress."""
    done = invoke(monkeypatch, "search", "--sync", "--store", str(store), *arguments)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Uploading the remaining trials")]
    return done.exit_code, done.stdout, "\n".join(errors)


def best_version(store: Path) -> str:
    """The study and the version that the alias points to."""
    version = client_of(store).get_model_version_by_alias("insects-mlp", "best")
    return f"{version.tags['insects.study']} {version.version}"


def test_sync_leaves_the_alias_where_it_is(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registered(store, study_of(store, "a", seed=1, loss=0.5))
    registered(store, study_of(store, "b", seed=2, loss=0.9, data=OTHER_DATA))
    assert best_version(store) == "b 2"
    assert sync(monkeypatch, store) == (0, "Study a: all is in MLflow\nStudy b: all is in MLflow\n", "")
    assert best_version(store) == "b 2"
    registered(store, StudyFolder(store / "trials" / "a"))  # its search was run again
    assert sync(monkeypatch, store)[0] == 0
    assert best_version(store) == "a 1"
    client_of(store).set_registered_model_alias("insects-mlp", "best", "2")  # by hand
    assert sync(monkeypatch, store)[0] == 0
    assert best_version(store) == "b 2"


def test_sync_completes_a_registration_that_ended_before_the_alias_was_moved(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.registry import versions

    registered(store, study_of(store, "a", seed=1, loss=0.5))
    folder = study_of(store, "b", seed=2, loss=0.9, data=OTHER_DATA)
    with monkeypatch.context() as patch:
        patch.setattr(versions, "move_alias", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            registered(store, folder)
    assert best_version(store) == "a 1"
    sync(monkeypatch, store)
    assert best_version(store) == "b 2"


def test_rebuilt_registry_has_the_alias_at_the_study_that_ended_last(
    store: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data, ended in (("a", None, 2.0), ("b", OTHER_DATA, 1.0)):
        registered(store, study_of(store, name, seed=1, data=data, started=1.7e9 + ended))
    assert best_version(store) == "b 2"
    shutil.rmtree(store / "artifacts")
    shutil.copy(empty_database, store / "mlflow.db")
    assert sync(monkeypatch, store)[0] == 0
    assert best_version(store) == "a 2"


def test_unknown_study_is_one_line_that_lists_the_studies(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study_of(store, "a", seed=1)
    code, out, errors = sync(monkeypatch, store, "--study", "none")
    assert (code, out) == (1, "")
    assert errors == f"Error: there is no study none in {store} (found: a): choose another --study or --store"


def test_damaged_study_does_not_keep_others_from_mlflow(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study_of(store, "a", seed=1)
    damaged = store / "trials" / "damaged"
    damaged.mkdir()
    (damaged / "study.json").write_bytes(b"{")
    code, out, errors = sync(monkeypatch, store)
    assert (code, out) == (1, "Study a: all is in MLflow\n")
    assert errors.startswith(f"Error: study damaged: cannot read {damaged / 'study.json'}: ")
    assert best_version(store) == "a 1"
    code, out, _ = sync(monkeypatch, store, "--json")
    assert code == 1
    first, second = json.loads(out)["studies"]
    assert (first, second["study"]) == (
        {"study": "a", "upload_error": None, "storage_error": None},
        "damaged",
    )
    assert "cannot read" in second["upload_error"]


def test_sync_without_mlflow_exits_with_1(untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.tracking.client._ATTEMPTS", 1)
    code, out, errors = sync(monkeypatch, untracked, "--tracking-uri", "http://127.0.0.1:9")
    assert (code, out) == (1, "")
    assert errors.startswith(f"Error: study {finished.answer['study']}: MLflow at http://127.0.0.1:9 does not answer")


def test_model_is_registered_under_the_last_name(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study_of(store, "a", seed=1).rename_model("moths")
    assert sync(monkeypatch, store)[0] == 0
    client = client_of(store)
    assert client.get_model_version_by_alias("moths", "best").tags["insects.study"] == "a"
    client.delete_registered_model("moths")
    assert sync(monkeypatch, store)[0] == 0
    assert client.search_registered_models() == [], "a deleted model stays deleted"


def test_study_is_read_once_another_upload_of_it_has_ended(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_of(store, "a", seed=1, loss=0.5)
    better = folder.load(0)
    assert better is not None
    better = replace(better, number=1, history=better.history - 0.1)

    def add_a_trial(_: Uploader) -> None:
        folder.save(better)

    monkeypatch.setattr(Uploader, "wait_until_open", add_a_trial)
    assert sync(monkeypatch, store)[0] == 0
    (version,) = client_of(store).search_model_versions("name = 'insects-mlp'")
    assert version.tags["insects.trial"] == "1"


def test_runs_are_uploaded_though_the_model_cannot_be_registered(
    untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    def register(*_: object, **__: object) -> None:
        raise StoreError("the registry is away")

    study = finished.answer["study"]
    with monkeypatch.context() as patch:
        patch.setattr("search.registry.versions.register", register)
        assert sync(patch, untracked) == (1, "", f"Error: study {study}: the registry is away")
    runs = contents(untracked, study)["runs"]
    (chosen,) = runs[f"final-{finished.answer['final']['chosen']:04d}"]
    chosen["tags"]["insects.registered_as"] = "insects-mlp"  # the only tag that registration sets
    assert runs == finished.tracked["runs"]
    assert sync(monkeypatch, untracked)[0] == 0
    assert contents(untracked, study) == finished.tracked
