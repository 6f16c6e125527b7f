"""The same study in two stores: two searches in one experiment, each with its own trials and model version."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from insects.text import counted
from search.registry import versions
from search.registry.alias import RegisteredModel
from search.registry.versions import register
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.upload.runs_worker import RunsWorker
from tests.support.commands import client_of
from tests.support.registered_studies import logger_of, study_of, without_comparison_figures, without_export

STUDY = "s"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the figures of the search and the files of models."""
    without_comparison_figures(monkeypatch)
    without_export(monkeypatch)


@pytest.fixture
def stores(tmp_path: Path, empty_database: Path) -> tuple[Store, Store]:
    """Two stores with one database, each with the same trial of the same study, trained at different times."""
    shutil.copy(empty_database, tmp_path / "shared.db")
    study_of(tmp_path / "one", STUDY, seed=0)
    study_of(tmp_path / "two", STUDY, seed=0, started=1.8e9)
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    return Store.at(tmp_path / "one", uri), Store.at(tmp_path / "two", uri)


def add_better_trial(folder: StudyFolder) -> None:
    first = folder.load(0)
    assert first is not None
    folder.save(replace(first, number=1, history=first.history * 0.5))


def upload(store: Store) -> None:
    """Upload the study, as a search does at its end."""
    worker = RunsWorker(str(store.path), store.tracking_uri)
    worker.open(STUDY)
    worker.log_missing()
    worker.compare()
    worker.finish("FINISHED")
    worker.close()


def registered(store: Store, number: int = 0, recompare: bool = True) -> RegisteredModel:
    runs = logger_of(store, STUDY).log(number, 0)
    model = register(store, store.study(STUDY), number, 0, runs, "insects-mlp", recompare)
    assert model is not None
    return model


def searches(client: MlflowClient) -> dict[str, tuple[dict[str, str], list[str]]]:
    """What the experiment holds: by store, the tags of the search's run, and its trials.

    Every run must hold each metric once, and no run may be left running.
    """
    experiment = client.get_experiment_by_name(STUDY)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    for run in runs:
        assert run.info.status in ("FINISHED", "KILLED")
        for key in run.data.metrics:
            steps = [metric.step for metric in client.get_metric_history(run.info.run_id, key)]
            assert len(steps) == len(set(steps))
    of_search = {run.info.run_id: run for run in runs if run.data.tags["insects.role"] == "search"}
    trials: dict[str, list[str]] = {run_id: [] for run_id in of_search}
    for run in runs:
        if run.info.run_id not in of_search:
            trials[run.data.tags["mlflow.parentRunId"]].append(run.data.tags["insects.trial"])
    return {
        run.data.tags["insects.store"]: (run.data.tags, sorted(trials[run_id])) for run_id, run in of_search.items()
    }


def shown(store: Store) -> str:
    return f"{socket.gethostname()}:{store.path}"


def before(monkeypatch: pytest.MonkeyPatch, target: object, name: str, action: Callable[[], object]) -> None:
    """Do something once, just before a function is called the next time."""
    function, left = getattr(target, name), [action]

    def call(*arguments: Any, **options: Any) -> Any:
        while left:
            left.pop()()
        return function(*arguments, **options)

    monkeypatch.setattr(target, name, call)


def test_each_store_has_a_search_with_its_own_trials(stores: tuple[Store, Store]) -> None:
    one, two = stores
    add_better_trial(one.study(STUDY))
    for _ in range(2):  # uploading twice adds nothing
        for store in stores:
            upload(store)
    found = searches(client_of(one))
    assert {place: trials for place, (_, trials) in found.items()} == {shown(one): ["0", "1"], shown(two): ["0"]}
    for store, count in ((one, 2), (two, 1)):
        tags, _ = found[shown(store)]
        assert tags["insects.search_id"] == store.study(STUDY).id
        assert tags["mlflow.note.content"].startswith(f"Best of {counted(count, 'trial')}: ")


def test_moved_store_goes_on_with_its_search(stores: tuple[Store, Store], tmp_path: Path) -> None:
    one, _ = stores
    upload(one)
    moved = Store.at(Path(shutil.move(one.path, tmp_path / "moved")), one.tracking_uri)
    add_better_trial(moved.study(STUDY))
    upload(moved)
    ((_, trials),) = searches(client_of(moved)).values()
    assert trials == ["0", "1"]


def test_trial_that_both_write_at_once_is_one_run_of_each(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = stores
    before(monkeypatch, MlflowClient, "set_terminated", lambda: upload(two))
    upload(one)
    assert {place: trials for place, (_, trials) in searches(client_of(one)).items()} == {
        shown(one): ["0"],
        shown(two): ["0"],
    }


def test_experiment_that_both_create_at_once_is_one(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow refuses one of them, which finds the experiment of the other at once."""
    one, two = stores
    worker = RunsWorker(str(one.path), one.tracking_uri)
    worker.open(STUDY)
    before(monkeypatch, MlflowClient, "create_experiment", lambda: upload(two))
    worker.log_run(0, 0)
    worker.finish("FINISHED")
    worker.close()
    assert {place: trials for place, (_, trials) in searches(client_of(one)).items()} == {
        shown(one): ["0"],
        shown(two): ["0"],
    }


def test_each_search_has_its_own_version_and_model(stores: tuple[Store, Store]) -> None:
    one, two = stores
    for store in stores:
        upload(store)
    first, second, again = registered(one), registered(two), registered(one)
    assert [model.version for model in (first, second, again)] == ["1", "2", "1"]
    assert [model.alias for model in (first, second, again)] == ["best", "", "best"]
    assert second.note == "version 1 stays best: loss 1.0000, version 2 has 1.0000"
    client = client_of(one)
    found = {version.tags["insects.search_id"]: version for version in client.search_model_versions()}
    assert found.keys() == {store.study(STUDY).id for store in stores}
    for store in stores:
        version, runs = found[store.study(STUDY).id], logger_of(store, STUDY).log(0, 0)
        assert (version.run_id, version.tags["insects.search_run"]) == (runs.model, runs.search)
    assert len({version.source for version in found.values()}) == 2


def test_better_version_of_another_store_gets_the_alias(stores: tuple[Store, Store]) -> None:
    one, two = stores
    registered(one)
    add_better_trial(two.study(STUDY))
    better = registered(two, number=1)
    assert (better.version, better.note) == ("2", "version 2 is now best: loss 0.5000, was 1.0000")
    assert registered(one).note == "version 2 stays best: loss 0.5000, version 1 has 1.0000"


def test_two_registrations_at_once_are_two_versions_and_one_alias(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = stores
    for store in stores:
        upload(store)
    found = []
    before(monkeypatch, versions, "log_model", lambda: found.append(registered(two)))
    found.append(registered(one))
    assert [model.version for model in found] == ["1", "2"]
    client = client_of(one)
    assert len(client.search_model_versions()) == 2
    assert str(client.get_model_version_by_alias("insects-mlp", "best").version) == "1"
