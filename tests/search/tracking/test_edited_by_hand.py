"""What a person renamed, edited or deleted in MLflow stays as it is; the next upload goes on beside it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from insects.errors import StoreError
from search.registry.versions import register
from search.store.study_folder import StudyFolder
from search.tracking.run_content import TRIAL, trial_content
from tests.support.commands import client_of, contents, invoke, own
from tests.support.registered_studies import logger_of, registered, study_of, without_comparison_figures, without_export
from tests.support.studies import builtin_splits


@pytest.fixture
def study(store: Path) -> StudyFolder:
    """A study of two trials, the second of which has the lower loss, uploaded but not compared."""
    study = study_of(store, "s", seed=0)
    add_trial(study, 1)
    upload(store)
    return study


@pytest.fixture
def client(store: Path) -> MlflowClient:
    return client_of(store)


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    without_export(monkeypatch)


def add_trial(study: StudyFolder, number: int) -> None:
    first = study.load(0)
    assert first is not None
    study.save(replace(first, number=number, history=first.history * 0.5**number))


def upload(store: Path) -> None:
    """Upload the study's trials, as a search does."""
    logger = logger_of(own(store), "s")
    logger.log_missing()
    logger.finish("FINISHED")


def sync(monkeypatch: pytest.MonkeyPatch, store: Path) -> tuple[int, str]:
    """Exit code, and the line about the study."""
    monkeypatch.setattr("search.tracking.client._ATTEMPTS", 1)
    done = invoke(monkeypatch, "search", "--sync", "--store", str(store))
    return done.exit_code, (done.stderr + done.stdout).splitlines()[-1]


def evaluate(monkeypatch: pytest.MonkeyPatch, store: Path) -> Any:
    return invoke(monkeypatch, "evaluate", "--best", "--store", str(store))


def runs_of(client: MlflowClient, role: str, view: int = ViewType.ACTIVE_ONLY) -> list[Any]:
    experiments = [entry.experiment_id for entry in client.search_experiments(ViewType.ALL)]
    return list(
        client.search_runs(experiments, f"tags.`insects.role` = '{role}'", view, order_by=["tags.`insects.trial`"])
    )


def versions_of(client: MlflowClient) -> list[Any]:
    return list(client.search_model_versions("name = 'insects-mlp'"))


def alias(client: MlflowClient) -> str:
    return str(client.get_model_version_by_alias("insects-mlp", "best").version)


def forgetting(what: str, study: StudyFolder) -> str:
    return (
        f"{what} was deleted in MLflow: restore it there, or delete {study.path} to forget the study, or search with "
        "another --study"
    )


def test_renamed_experiment_and_runs_stay_renamed(store: Path, study: StudyFolder, client: MlflowClient) -> None:
    (search,), (trial, _) = runs_of(client, "search"), runs_of(client, "trial")
    client.rename_experiment(search.info.experiment_id, "mine")
    for run in (search, trial):
        client.update_run(run.info.run_id, name=f"my {run.info.run_name}")
    add_trial(study, 2)
    upload(store)
    assert client.get_experiment_by_name("s") is None
    assert list(contents(store, "mine")["runs"]) == ["my search s", "my trial-0000", "trial-0001", "trial-0002"]


def test_tags_edited_and_metrics_added_by_hand_stay(store: Path, study: StudyFolder, client: MlflowClient) -> None:
    (run,) = (run for run in runs_of(client, "trial") if run.data.tags["insects.trial"] == "1")
    client.set_tag(run.info.run_id, "state", "mine")
    client.delete_tag(run.info.run_id, "insects.study")
    client.log_metric(run.info.run_id, "mine", 1.0)
    before = contents(store, "s")
    upload(store)
    assert contents(store, "s") == before
    assert len(runs_of(client, "trial")) == 2


@pytest.mark.parametrize("tag", [None, "first", "-1", "9" * 5000])
def test_run_whose_trial_was_edited_is_left_alone_and_the_trial_uploaded_again(
    tag: str | None, store: Path, study: StudyFolder, client: MlflowClient
) -> None:
    before = contents(store, "s")
    (run,) = (run for run in runs_of(client, "trial") if run.data.tags["insects.trial"] == "1")
    client.delete_tag(run.info.run_id, "insects.trial")
    if tag is not None:
        client.set_tag(run.info.run_id, "insects.trial", tag)
    edited = client.get_run(run.info.run_id)
    upload(store)
    assert client.get_run(run.info.run_id).to_dictionary() == edited.to_dictionary()
    assert len(contents(store, "s")["runs"]["trial-0001"]) == 2
    client.delete_run(run.info.run_id)
    assert contents(store, "s") == before


def test_deleted_trial_is_not_uploaded_again_and_new_trials_are(
    store: Path, study: StudyFolder, client: MlflowClient
) -> None:
    deleted = runs_of(client, "trial")[0].info.run_id
    client.delete_run(deleted)
    add_trial(study, 2)
    upload(store)
    assert [run.data.tags["insects.trial"] for run in runs_of(client, "trial")] == ["1", "2"]
    assert [run.info.run_id for run in runs_of(client, "trial", ViewType.DELETED_ONLY)] == [deleted]


def test_deleted_run_that_was_not_complete_is_not_written_to(store: Path, client: MlflowClient) -> None:
    study = study_of(store, "s", seed=0)
    result = study.load(0)
    assert result is not None
    content = trial_content(result, study, builtin_splits()[0].shape, Mock())
    run = logger_of(own(store), "s")._create(TRIAL, 0, content)
    client.delete_run(run.run_id)
    upload(store)
    (deleted,) = runs_of(client, "trial", ViewType.DELETED_ONLY)
    assert (deleted.info.run_id, deleted.info.status, deleted.data.metrics) == (run.run_id, "RUNNING", {})
    assert runs_of(client, "trial") == []


def test_deleted_search_run_is_an_error_until_it_is_restored(
    store: Path, study: StudyFolder, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (search,) = runs_of(client, "search")
    before = contents(store, "s")
    client.delete_run(search.info.run_id)
    line = forgetting(f"run search s ({search.info.run_id})", study)
    assert sync(monkeypatch, store) == (1, f"Error: study s: {line}")
    assert runs_of(client, "search") == []
    client.restore_run(search.info.run_id)
    upload(store)
    assert contents(store, "s") == before


def test_deleted_experiment_is_an_error_until_it_is_restored(
    store: Path, study: StudyFolder, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None
    before = contents(store, "s")
    client.delete_experiment(experiment.experiment_id)
    line = forgetting("experiment s", study)
    assert sync(monkeypatch, store) == (1, f"Error: study s: {line}")
    client.restore_experiment(experiment.experiment_id)
    upload(store)
    assert contents(store, "s") == before


def test_files_deleted_below_a_run_stay_deleted(
    store: Path, study: StudyFolder, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = without_comparison_figures(monkeypatch)
    assert sync(monkeypatch, store) == (0, "Study s: all is in MLflow")
    for name in ("trial.npz", "loss_curves.png", "test_rows.npz", "comparison.png", "MLmodel"):
        next((store / "artifacts").rglob(name)).unlink()
    before = contents(store, "s")
    assert sync(monkeypatch, store) == (0, "Study s: all is in MLflow")
    assert contents(store, "s") == before
    shutil.rmtree(store / "artifacts")
    assert sync(monkeypatch, store) == (0, "Study s: all is in MLflow")
    assert not (store / "artifacts").exists()
    assert written == ["comparison", "description"]


@pytest.mark.usefixtures("no_export")
def test_deleted_model_version_is_not_registered_again(
    store: Path, study: StudyFolder, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert registered(store, study).version == "1"
    client.delete_model_version("insects-mlp", "1")
    runs = logger_of(own(store), "s").log(0, 0)
    assert register(own(store), study, 0, 0, runs, "insects-mlp") is None
    assert versions_of(client) == []
    assert len(client.search_logged_models([runs.experiment])) == 1
    other = register(own(store), study, 0, 0, runs, "moths")  # under another name it is new, and needs no second model
    assert other is not None
    assert (other.version, other.alias) == ("1", "best")
    assert len(client.search_logged_models([runs.experiment])) == 1
    assert client.get_run(runs.model).data.tags["insects.registered_as"] == "insects-mlp moths"
    client.delete_registered_model("insects-mlp")
    without_comparison_figures(monkeypatch)
    study.file(1).unlink()  # trial 0 is the best now
    assert sync(monkeypatch, store) == (0, "Study s: all is in MLflow")
    assert [model.name for model in client.search_registered_models()] == ["moths"]


def test_deleted_model_or_file_of_it_is_not_exported_again(
    store: Path, study: StudyFolder, client: MlflowClient
) -> None:
    registered(store, study)
    (program,) = (store / "artifacts").rglob("model.pt2")
    program.unlink()
    again = registered(store, study)
    assert (again.version, again.note) == ("1", "version 1 is best already")
    (model,) = client.search_logged_models([runs_of(client, "search")[0].info.experiment_id])
    client.delete_logged_model(model.model_id)
    again = registered(store, study)
    assert (again.version, again.note) == ("1", "version 1 is best already")
    assert len(versions_of(client)) == 1
    assert not program.exists()


def test_best_trial_whose_run_was_deleted_is_not_registered(
    store: Path, study: StudyFolder, client: MlflowClient
) -> None:
    runs = logger_of(own(store), "s").log(1, 0)
    client.delete_run(runs.model)
    with pytest.raises(StoreError) as caught:
        register(own(store), study, 1, 0, runs, "insects-mlp")
    assert str(caught.value) == forgetting(f"run trial-0001 ({runs.model})", study)
    assert client.search_registered_models() == []
    assert client.search_logged_models([runs.experiment]) == []


@pytest.mark.usefixtures("no_export")
def test_version_keeps_its_model_when_its_trial_is_deleted(
    store: Path, study: StudyFolder, client: MlflowClient
) -> None:
    registered(store, study)
    (before,) = versions_of(client)
    client.delete_run(str(before.run_id))
    again = registered(store, study)
    assert (again.version, again.alias, again.note) == ("1", "best", "version 1 is best already")
    (version,) = versions_of(client)
    assert (version.run_id, version.source) == (before.run_id, before.source)


@pytest.mark.usefixtures("no_export")
def test_alias_that_was_moved_or_deleted_by_hand_stays(store: Path, client: MlflowClient) -> None:
    studies = [
        study_of(store, name, seed=0, loss=loss) for name, loss in (("one", 0.5), ("two", 0.25), ("three", 0.75))
    ]
    for entry in studies:
        registered(store, entry)
    assert alias(client) == "2"
    client.set_registered_model_alias("insects-mlp", "best", "3")
    notes = [registered(store, entry, recompare=False).note for entry in studies]  # as --sync does
    assert notes == [f"version {number} was registered before" for number in (1, 2, 3)]
    assert alias(client) == "3"
    client.delete_registered_model_alias("insects-mlp", "best")
    for entry in studies:
        assert registered(store, entry, recompare=False).alias == ""
    assert client.get_registered_model("insects-mlp").aliases == {}


@pytest.mark.usefixtures("no_export")
def test_best_version_whose_loss_was_edited_gives_way_and_keeps_its_tag(store: Path, client: MlflowClient) -> None:
    one, two = study_of(store, "one", 1, 0.5), study_of(store, "two", 2, 0.9)
    for entry in (one, two):
        registered(store, entry)
    for loss in (None, "low", "nan"):
        assert alias(client) == "1"
        client.delete_model_version_tag("insects-mlp", "1", "insects.objective")
        if loss is not None:
            client.set_model_version_tag("insects-mlp", "1", "insects.objective", loss)
        assert registered(store, two).note == "version 2 is now best: version 1 does not say its loss"
        assert registered(store, one).note == "version 1 is now best: loss 0.5000, was 0.9000"  # its study knows it
        assert client.get_model_version("insects-mlp", "1").tags.get("insects.objective") == loss


def test_evaluation_says_what_was_deleted(
    store: Path, study: StudyFolder, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(store, study)
    (search,) = runs_of(client, "search")
    (Path(search.info.artifact_uri.removeprefix("file://")) / "test_rows.npz").unlink()
    rows = evaluate(monkeypatch, store)
    assert (rows.exit_code, rows.stderr) == (
        1,
        f"Error: test_rows.npz is no longer among the files of run {search.info.run_id} at "
        f"sqlite:///{store}/mlflow.db: give rows with --test or --images\n",
    )


def test_evaluation_of_a_deleted_experiment_is_one_line(
    store: Path, study: StudyFolder, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(store, study)
    (search,) = runs_of(client, "search")
    client.delete_experiment(search.info.experiment_id)
    experiment = evaluate(monkeypatch, store)
    assert (experiment.exit_code, experiment.stderr) == (
        1,
        "Error: experiment s, to which evaluations of this model are logged, was deleted: restore it in MLflow\n",
    )
    client.restore_experiment(search.info.experiment_id)
    assert evaluate(monkeypatch, store).exit_code == 0


def test_interrupted_evaluation_of_a_model_registered_by_hand_is_left_to_it(
    store: Path, study: StudyFolder, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    registered(store, study)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_terminated", interrupted)
        assert evaluate(monkeypatch, store).exit_code == 130
    (version,) = versions_of(client)
    client.create_registered_model("other")
    client.create_model_version("other", str(version.source), run_id=version.run_id, tags=version.tags)
    other = invoke(monkeypatch, "evaluate", "--model", "models:/other/1", "--store", str(store))
    assert (other.exit_code, other.stderr) == (0, "")
    assert evaluate(monkeypatch, store).exit_code == 0
    evaluations = runs_of(client, "evaluation")
    assert sorted((run.data.params["model"], run.info.status) for run in evaluations) == [
        ("insects-mlp", "FINISHED"),
        ("other", "FINISHED"),
    ]
