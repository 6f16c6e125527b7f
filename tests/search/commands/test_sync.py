"""`insects-search --sync`: what each study came to, and where it leaves the alias."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from search.store.study_folder import StudyFolder
from search.upload import model_worker
from search.upload.uploader import Uploader
from tests.support.commands import Finished, contents, invoke, own
from tests.support.registered_studies import registered, study_of

OTHER_DATA = "ff" * 32


def sync(monkeypatch: pytest.MonkeyPatch, store: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr, but for the note that it waits."""
    done = invoke(monkeypatch, "search", "--sync", "--store", str(store), *arguments)
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Bringing what is left")]
    return done.exit_code, done.stdout, "\n".join(errors)


def best_version(store: Path) -> str:
    """What the alias points to: the study and the version."""
    version = own(store).client().get_model_version_by_alias("insects-mlp", "best")
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
    own(store).client().set_registered_model_alias("insects-mlp", "best", "2")  # by hand
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
    for name, data, ended in (("a", None, 3.0), ("b", OTHER_DATA, 1.0), ("c", "ee" * 32, 2.0)):
        registered(store, study_of(store, name, seed=1, data=data, started=1.7e9 + ended))
    assert best_version(store) == "c 3"
    shutil.rmtree(store / "artifacts")
    shutil.copy(empty_database, store / "mlflow.db")
    assert sync(monkeypatch, store)[0] == 0
    assert best_version(store) == "a 3"


def test_study_that_is_not_there_is_one_line_with_those_that_are(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study_of(store, "a", seed=1)
    code, out, errors = sync(monkeypatch, store, "--study", "none")
    assert (code, out) == (1, "")
    assert errors == f"Error: there is no study none in {store} (found: a): choose another --study or --store"


def test_study_that_cannot_be_read_holds_up_no_other(
    untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = untracked / "trials" / "damaged"
    damaged.mkdir()
    (damaged / "study.json").write_bytes(b"{")
    code, out, errors = sync(monkeypatch, untracked)
    assert (code, out) == (1, f"Study {finished.answer['study']}: all is in MLflow\n")
    assert errors.startswith(f"Error: study damaged: cannot read {damaged / 'study.json'}: ")
    assert contents(untracked, finished.answer["study"]) == finished.tracked
    code, out, _ = sync(monkeypatch, untracked, "--json")
    assert code == 1
    first, second = json.loads(out)["studies"]
    assert (first["study"], second) == ("damaged", {"study": finished.answer["study"], "upload_error": None})
    assert "cannot read" in first["upload_error"]


def test_mlflow_that_is_away_is_exit_code_1(
    untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.tracking.client._ATTEMPTS", 1)
    code, out, errors = sync(monkeypatch, untracked, "--tracking-uri", "http://127.0.0.1:9")
    assert (code, out) == (1, "")
    assert errors.startswith(f"Error: study {finished.answer['study']}: MLflow at http://127.0.0.1:9 does not answer")


@pytest.mark.parametrize("option", ["--trials=50", "--train=x.csv", "--model-name=x", "--workers=2", "--images=demo"])
def test_option_that_sync_would_ignore_is_refused(option: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, errors = sync(monkeypatch, store, option)
    assert (code, out) == (2, "")
    assert f"--sync searches nothing: leave out {option.partition('=')[0]}." in errors


def test_model_goes_to_the_name_that_was_asked_for_last(
    untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = (*finished.arguments, "--store", str(untracked), "--study", finished.answer["study"])
    assert invoke(monkeypatch, "search", *again, "--model-name", "moths").exit_code == 0
    client = own(untracked).client()
    client.delete_registered_model("moths")
    assert sync(monkeypatch, untracked)[0] == 0
    assert client.get_model_version_by_alias("moths", "best").tags["insects.study"] == finished.answer["study"]


def test_study_that_another_process_delivers_is_looked_at_when_that_has_ended(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study_of(store, "a", seed=1, loss=0.5)
    better = folder.load(0)
    assert better is not None
    better = replace(better, number=1, history=better.history - 0.1)

    def until_the_other_has_ended(_: Uploader) -> None:
        folder.save(better)

    monkeypatch.setattr(Uploader, "wait_until_open", until_the_other_has_ended)
    assert sync(monkeypatch, store)[0] == 0
    (version,) = own(store).client().search_model_versions("name = 'insects-mlp'")
    assert version.tags["insects.trial"] == "1"


def test_model_that_cannot_be_registered_holds_up_nothing_else(
    untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    from insects.errors import StoreError

    def away(**_: object) -> None:
        raise StoreError("the registry is away")

    study = finished.answer["study"]
    monkeypatch.setitem(model_worker.HANDLERS, "register", away)
    assert sync(monkeypatch, untracked) == (1, "", f"Error: study {study}: the registry is away")
    assert contents(untracked, study)["runs"] == finished.tracked["runs"]
    monkeypatch.undo()
    assert sync(monkeypatch, untracked)[0] == 0
    assert contents(untracked, study) == finished.tracked
