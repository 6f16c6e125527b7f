"""What somebody deleted, renamed or edited in MLflow or among its files, and what the next delivery makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from insects.errors import StoreError
from search.registry.logged_models import Runs, TrialModels
from search.registry.versions import register
from search.store.store import Store
from search.tracking.trial_runs import TrialRunLogger
from tests.support.commands import Finished, contents, invoke, own
from tests.support.registered_studies import registered, study_of


@pytest.fixture
def tracked(untracked: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The finished study in a store of its own, brought to MLflow there."""
    sync(monkeypatch, untracked)
    return untracked


def sync(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    done = invoke(monkeypatch, "search", "--sync", "--store", str(store))
    assert done.exit_code == 0, done.stderr


def best(store: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `insects-evaluate` says."""
    return invoke(monkeypatch, "evaluate", "--best", "--store", str(store))


def search_run(client: MlflowClient, study: str) -> Any:
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.`insects.role` = 'search'")
    return run


def test_files_that_were_deleted_come_back(tracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    study = finished.answer["study"]
    shutil.rmtree(tracked / "artifacts")
    sync(monkeypatch, tracked)
    found = contents(tracked, study)
    assert found["runs"] == finished.tracked["runs"]
    (version,) = found["versions"]  # its model could not be loaded any more
    assert (version["version"], version["aliases"]) == ("2", ["best"])
    assert best(tracked, monkeypatch).exit_code == 0
    sync(monkeypatch, tracked)
    assert contents(tracked, study)["runs"].keys() - {"evaluation of version 2"} == found["runs"].keys()


@pytest.mark.parametrize("name", ["trial.npz", "loss_curves.png", "test_rows.npz", "trials.csv", "traceback.txt"])
def test_single_file_that_was_deleted_comes_back(
    name: str, tracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = finished.answer["study"]
    path = next((tracked / "artifacts" / study).glob(f"*/artifacts/{name}"))
    path.unlink()
    sync(monkeypatch, tracked)
    assert path.exists()
    assert contents(tracked, study) == finished.tracked


def test_search_run_that_was_deleted_comes_back_with_its_trials(
    tracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, client = finished.answer["study"], own(tracked).client()
    client.delete_run(search_run(client, study).info.run_id)
    sync(monkeypatch, tracked)
    assert contents(tracked, study) == finished.tracked
    assert best(tracked, monkeypatch).exit_code == 0


def test_renamed_experiment_stays_the_studys(
    tracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, client = finished.answer["study"], own(tracked).client()
    client.rename_experiment(search_run(client, study).info.experiment_id, "mine")
    sync(monkeypatch, tracked)
    assert client.get_experiment_by_name(study) is None
    assert contents(tracked, "mine") == finished.tracked


def test_model_that_was_deleted_is_registered_again(store: Path) -> None:
    folder = study_of(store, "s", 0)
    registered(store, folder)
    client = own(store).client()
    (model,) = client.search_logged_models([search_run(client, "s").info.experiment_id])
    client.delete_logged_model(model.model_id)
    again = registered(store, folder)
    assert (again.version, again.note) == ("2", "version 2 is now best")
    (version,) = client.search_model_versions("name = 'insects-mlp'")
    assert str(version.version) == "2"
    assert version.source != model.model_uri


@pytest.mark.parametrize("name", ["MLmodel", "model.pt2"])
def test_model_of_which_a_file_was_deleted_is_registered_again(name: str, store: Path) -> None:
    folder = study_of(store, "s", 0)
    registered(store, folder)
    next((store / "artifacts").rglob(name)).unlink()
    assert registered(store, folder).version == "2"
    (version,) = own(store).client().search_model_versions("name = 'insects-mlp'")
    assert str(version.version) == "2"


def test_model_whose_export_did_not_reach_its_end_is_not_used(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_of(store, "s", 0)

    def cut(*_: object, **__: object) -> None:
        raise OSError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "finalize_logged_model", cut)
        with pytest.raises(StoreError, match="cut"):
            registered(store, folder)
    client = own(store).client()
    experiment = search_run(client, "s").info.experiment_id
    (left,) = client.search_logged_models([experiment])
    assert left.status == "PENDING"
    assert registered(store, folder).version == "1"
    (model,) = client.search_logged_models([experiment])
    assert (model.status, model.model_id != left.model_id) == ("READY", True)


def test_model_follows_its_trial_to_another_run(store: Path) -> None:
    folder = study_of(store, "s", 0)
    registered(store, folder)
    client = own(store).client()
    (version,) = client.search_model_versions("name = 'insects-mlp'")
    client.delete_run(str(version.run_id))
    again = registered(store, folder)
    assert (again.version, again.alias) == ("2", "best")
    (version,) = client.search_model_versions("name = 'insects-mlp'")
    experiment = search_run(client, "s").info.experiment_id
    (trial,) = client.search_runs([experiment], "tags.`insects.role` = 'trial'")
    (model,) = client.search_logged_models([experiment])
    assert (version.run_id, model.source_run_id) == (trial.info.run_id, trial.info.run_id)
    assert version.source == model.model_uri


def test_version_whose_model_is_gone_stays_until_there_is_a_better_one(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study_of(store, "s", 0)
    registered(store, folder)
    next((store / "artifacts").rglob("MLmodel")).unlink()

    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(TrialModels, "log", full)
    with pytest.raises(StoreError, match="no space left"):
        registered(store, folder)
    assert str(own(store).client().get_model_version_by_alias("insects-mlp", "best").version) == "1"


def test_alias_that_was_deleted_comes_back_to_the_best(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, loss, started in (("one", 0.5, 1.7e9), ("two", 0.25, 1.71e9), ("three", 0.75, 1.72e9)):
        study_of(store, name, seed=0, loss=loss, started=started)
    sync(monkeypatch, store)
    client = own(store).client()
    client.set_registered_model_alias("insects-mlp", "best", "3")
    sync(monkeypatch, store)  # leaves an alias that was moved by hand
    assert str(client.get_model_version_by_alias("insects-mlp", "best").version) == "3"
    client.delete_registered_model_alias("insects-mlp", "best")
    sync(monkeypatch, store)
    assert str(client.get_model_version_by_alias("insects-mlp", "best").version) == "2"
    client.set_registered_model_alias("insects-mlp", "best", "3")
    sync(monkeypatch, store)
    assert str(client.get_model_version_by_alias("insects-mlp", "best").version) == "3"


def test_evaluation_says_how_to_bring_back_what_it_needs(
    tracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, client = finished.answer["study"], own(tracked).client()
    run = search_run(client, study).info
    (Path(run.artifact_uri.removeprefix("file://")) / "test_rows.npz").unlink()
    rows = best(tracked, monkeypatch)
    assert (rows.exit_code, rows.stderr) == (
        1,
        f"Error: test_rows.npz is gone from the files of run {run.run_id} at sqlite:///{tracked}/mlflow.db: bring it "
        "again with insects-search --sync, or give rows with --test or --images\n",
    )
    sync(monkeypatch, tracked)
    client.delete_experiment(run.experiment_id)
    experiment = best(tracked, monkeypatch)
    assert (experiment.exit_code, experiment.stderr) == (
        1,
        f"Error: experiment {study}, which keeps the evaluations of this model, was deleted: restore it in MLflow, or "
        "with insects-search --sync\n",
    )
    sync(monkeypatch, tracked)
    assert best(tracked, monkeypatch).exit_code == 0


def test_interrupted_evaluation_of_another_model_is_left_to_it(
    tracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", interrupted)
        assert best(tracked, monkeypatch).exit_code == 130
    client = own(tracked).client()
    (version,) = client.search_model_versions("name = 'insects-mlp'")
    client.create_registered_model("other")
    client.create_model_version("other", str(version.source), run_id=version.run_id, tags=version.tags)
    other = invoke(monkeypatch, "evaluate", "--model", "models:/other/1", "--store", str(tracked))
    assert (other.exit_code, other.stderr) == (0, "")
    assert best(tracked, monkeypatch).exit_code == 0
    runs = client.search_runs([search_run(client, finished.answer["study"]).info.experiment_id])
    evaluations = [run for run in runs if run.data.tags["insects.role"] == "evaluation"]
    assert {(run.data.params["model"], run.info.status) for run in evaluations} == {
        ("insects-mlp", "FINISHED"),
        ("other", "FINISHED"),
    }


@pytest.mark.parametrize("loss", [None, "low", "nan"])
def test_best_version_that_does_not_say_its_loss_gives_way(loss: str | None, store: Path) -> None:
    registered(store, study_of(store, "one", 1, 0.5))
    client = own(store).client()
    client.delete_model_version_tag("insects-mlp", "1", "insects.valid_loss")
    if loss is not None:
        client.set_model_version_tag("insects-mlp", "1", "insects.valid_loss", loss)
    second = registered(store, study_of(store, "two", 2, 0.9))
    assert second.note == "version 2 is now best: version 1 does not say its loss"
    registered(store, study_of(store, "one", 1, 0.5))  # its own study knows it
    assert client.get_model_version("insects-mlp", "1").tags["insects.valid_loss"] == "0.5"
    assert str(client.get_model_version_by_alias("insects-mlp", "best").version) == "1"


@pytest.mark.parametrize("tag", [None, "first", "-1", "9" * 5000])
def test_run_whose_trial_was_edited_is_nobodys(
    tag: str | None, tracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, client = finished.answer["study"], own(tracked).client()
    experiment = search_run(client, study).info.experiment_id
    (run,) = client.search_runs([experiment], "tags.`insects.trial` = '3'")
    client.delete_tag(run.info.run_id, "insects.trial")
    if tag is not None:
        client.set_tag(run.info.run_id, "insects.trial", tag)
    sync(monkeypatch, tracked)
    assert len(contents(tracked, study)["runs"]["trial-0003"]) == 2
    client.delete_run(run.info.run_id)
    assert contents(tracked, study) == finished.tracked


def test_files_of_another_store_are_not_taken_for_deleted(store: Path, tmp_path: Path) -> None:
    """Two stores share a database but no files: this one cannot see the model of the other, which is on its machine."""
    registered(store, study_of(store, "s", 0))
    (store / "artifacts").rename(tmp_path / "elsewhere")
    other = Store.at(tmp_path / "other", own(store).tracking_uri)
    folder = study_of(other.path, "s", 0, started=1.8e9)
    projection = TrialRunLogger(other, folder)
    runs = Runs(projection.experiment_id, projection.search_run_id, projection.settled(0))
    projection.restore_files()
    assert register(other, folder, 0, runs, "insects-mlp").version == "1"
    assert not list(store.rglob("*.png"))
