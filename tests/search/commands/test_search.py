"""A search of a store that holds more than is asked for, or less than it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from search.store.study_folder import StudyFolder
from tests.support.commands import Finished, invoke
from tests.support.studies import optuna_trials


@pytest.mark.parametrize("missing", [None, 11], ids=["no journal", "no journal and a trial that did not end"])
def test_optuna_mlflow_and_the_best_agree_on_the_trials_when_fewer_are_asked_for(
    missing: int | None, finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Path(shutil.copytree(finished.store, tmp_path / "store"))
    (store / "optuna.journal").unlink()
    folder = StudyFolder(store / "trials" / finished.folder.name)
    if missing is not None:
        folder.file(missing).unlink()
    monkeypatch.chdir(store.parent)
    done = invoke(monkeypatch, "search", *finished.arguments, "--trials", "1", "--store", str(store), "--json")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["study_digest"] == finished.answer["study_digest"]
    assert answer["best"]["number"] == finished.answer["best"]["number"]
    assert optuna_trials(store / "optuna.journal", folder.name) == optuna_trials(
        finished.store / "optuna.journal", folder.name
    )
