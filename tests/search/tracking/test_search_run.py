"""The run of a search: described once, compared again only when there are new trials."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from insects.errors import StoreError
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.config import study_digest
from search.tracking import search_run
from search.tracking.search_run import compare_trials, find_runs
from search.tracking.tags import COMPARED_TRIALS_TAG
from tests.support.commands import client_of, contents, own
from tests.support.registered_studies import logger_of, study_of, without_comparison_figures


@pytest.fixture
def study(store: Path) -> StudyFolder:
    """A study of one trial, which MLflow does not hold yet."""
    return study_of(store, "s", seed=0, loss=0.5)


@pytest.fixture
def client(store: Path) -> MlflowClient:
    return client_of(store)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was drawn so far."""
    return without_comparison_figures(monkeypatch)


def search_run_id(client: MlflowClient) -> str:
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.`insects.role` = 'search'")
    return str(run.info.run_id)


def add_trial(study: StudyFolder, number: int, factor: float) -> None:
    """Add a trial whose loss is a multiple of that of the first."""
    first = study.load(0)
    assert first is not None
    study.save(replace(first, number=number, history=first.history * factor))


def compare(client: MlflowClient, run_id: str, study: StudyFolder) -> dict[str, float]:
    seconds = {"figures": 0.0, "tracking": 0.0}
    compare_trials(client, run_id, study, None, seconds)
    return seconds


def history(client: MlflowClient, run_id: str, metric: str) -> list[tuple[int, float]]:
    return [(entry.step, entry.value) for entry in client.get_metric_history(run_id, metric)]


def test_run_says_its_search_and_its_store(store: Path, study: StudyFolder, client: MlflowClient) -> None:
    logger_of(own(store), "s")
    tags = client.get_run(search_run_id(client)).data.tags
    assert tags["insects.search_id"] == study.id
    assert tags["insects.store"] == f"{socket.gethostname()}:{store}"
    assert tags["insects.study"] == "s"


def test_run_has_every_setting_of_the_recipe_also_those_that_a_fingerprint_lacks(
    store: Path, study: StudyFolder, client: MlflowClient
) -> None:
    logger_of(own(store), "s")
    params = client.get_run(search_run_id(client)).data.params
    assert {name: params[name] for name in ("epochs", "schedule", "class_weight", "metric")} == {
        "epochs": "3", "schedule": "cosine", "class_weight": "none", "metric": "loss",
    }  # fmt: skip


def test_run_that_was_finished_is_running_while_it_is_open(
    store: Path, study: StudyFolder, client: MlflowClient
) -> None:
    for status in ("FINISHED", "KILLED"):
        logger = logger_of(own(store), study.name)
        assert client.get_run(search_run_id(client)).info.status == "RUNNING"
        logger.finish(status)
        assert client.get_run(search_run_id(client)).info.status == status


@pytest.mark.parametrize("step", ["log_inputs", "log_artifacts", "log_batch"])
def test_interrupted_description_is_completed(
    step: str, store: Path, study: StudyFolder, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(MlflowClient, step)

    def lost(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        raise ConnectionError("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, lost)
        with pytest.raises(StoreError, match="the answer was lost"):
            logger_of(own(store), study.name)
    logger_of(own(store), study.name)
    run = client.get_run(search_run_id(client))
    assert run.data.params["seed"] == "0"
    assert run.inputs is not None
    assert len(run.inputs.dataset_inputs) == 1
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["test_rows.npz", "trained_on.npy"]


def test_comparing_again_does_nothing(store: Path, study: StudyFolder, client: MlflowClient, drawn: list[str]) -> None:
    logger_of(own(store), "s").log_missing()
    run_id = search_run_id(client)
    spent = compare(client, run_id, study)
    assert min(spent.values()) > 0
    once = contents(store, "s")
    assert client.get_run(run_id).data.tags[COMPARED_TRIALS_TAG] == study_digest(study.results_without_weights())
    assert compare(client, run_id, study) == {"figures": 0.0, "tracking": 0.0}
    assert drawn == ["comparison", "description"]
    assert contents(store, "s") == once


FIRST = "Best of 1 trial: trial 0: "


def test_description_follows_the_best_trial_until_a_person_edits_it(
    store: Path, study: StudyFolder, client: MlflowClient, drawn: list[str]
) -> None:
    def note() -> str:
        return str(client.get_run(run_id).data.tags["mlflow.note.content"])

    logger_of(own(store), "s").log_missing()
    run_id = search_run_id(client)
    compare(client, run_id, study)
    assert note().startswith(FIRST)
    assert "| 0 | 1 | 8 | 0.01 | 32 |" in note()
    add_trial(study, 1, 0.5)
    compare(client, run_id, study)
    assert note().startswith("Best of 2 trials: trial 1: ")
    first = next(line for line in note().splitlines() if line.startswith(("| 1 |", "| 0 |")))
    assert first.startswith("| 1 |")
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None
    assert experiment.tags["mlflow.note.content"] == note()
    client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "spirals")
    client.set_tag(run_id, "mlflow.note.content", "the one for the paper")
    add_trial(study, 2, 0.25)
    compare(client, run_id, study)
    assert note() == "the one for the paper"
    assert client.get_experiment(experiment.experiment_id).tags["mlflow.note.content"] == "spirals"


def test_study_without_a_trial_is_not_compared(store: Path, study: StudyFolder, client: MlflowClient) -> None:
    study.file(0).unlink()
    logger_of(own(store), "s").compare()
    assert COMPARED_TRIALS_TAG not in client.get_run(search_run_id(client)).data.tags


@pytest.mark.parametrize("step", ["log_batch", "log_artifacts", "set_tag"])
def test_interrupted_comparison_is_completed(
    step: str,
    store: Path,
    study: StudyFolder,
    client: MlflowClient,
    drawn: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger_of(own(store), "s").log_missing()
    run_id = search_run_id(client)
    original = getattr(MlflowClient, step)

    def lost(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        raise ConnectionError("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, lost)
        with pytest.raises(StoreError, match="the answer was lost"):
            compare(client, run_id, study)
    compare(client, run_id, study)
    assert history(client, run_id, "best_valid_loss") == [(1, 0.5)]
    run = client.get_run(run_id)
    assert run.data.tags[COMPARED_TRIALS_TAG] == study_digest(study.results_without_weights())
    assert run.data.tags["mlflow.note.content"].startswith(FIRST)
    files = {file.path for file in client.list_artifacts(run_id)}
    assert files == {"test_rows.npz", "trained_on.npy", "comparison.png", "description.png"}
    assert drawn == ["comparison", "description"] * 2


@pytest.mark.usefixtures("drawn")
def test_more_trials_are_compared_and_the_latest_best_is_shown(
    store: Path, study: StudyFolder, client: MlflowClient
) -> None:
    """MLflow shows the value of the highest step; the better trial has its best epoch earlier."""
    first = study.load(0)
    assert first is not None
    study.save(replace(first, history=first.history.repeat(3, axis=0) * [[1], [1], [0.9]], best_epoch=3))
    logger_of(own(store), "s").compare()
    study.save(replace(first, number=1, history=first.history * 0.5))
    logger_of(own(store), "s").compare()
    run = client.get_run(search_run_id(client))
    assert (run.data.metrics["best_valid_loss"], run.data.metrics["best_epoch"]) == (0.25, 1.0)
    assert history(client, run.info.run_id, "best_valid_loss") == [(1, pytest.approx(0.45)), (2, 0.25)]
    assert run.data.tags["mlflow.note.content"].startswith("Best of 2 trials")


def test_svg_is_added_to_a_study_that_has_been_compared_and_follows_new_trials(
    store: Path, study: StudyFolder, client: MlflowClient
) -> None:
    def figures() -> set[str]:
        artifacts = Path(client.get_run(search_run_id(client)).info.artifact_uri.removeprefix("file://"))
        return {str(path.relative_to(artifacts)) for path in artifacts.rglob("*.svg")}

    logger_of(own(store), "s").compare()
    assert figures() == set()
    logger_of(own(store), "s").compare("svg")
    first = {"optimization_history.svg", "boundary_atlas.svg", "model_loss_curves.svg", "model_decision_boundary.svg"}
    assert figures() == {*first, "table/scatter.svg", "table/histograms.svg"}
    digest = study_digest(study.results_without_weights())
    assert client.get_run(search_run_id(client)).data.tags[COMPARED_TRIALS_TAG] == f"{digest} and SVG"
    add_trial(study, 1, 0.5)
    logger_of(own(store), "s").compare("png")  # else the SVG would be of other trials than the PNG beside it
    artifacts = Path(client.get_run(search_run_id(client)).info.artifact_uri.removeprefix("file://"))
    assert "trial 1: depth" in (artifacts / "model_loss_curves.svg").read_text()
    assert compare(client, search_run_id(client), study) == {"figures": 0.0, "tracking": 0.0}


def test_description_of_the_data_is_written_once(store: Path, study: StudyFolder, drawn: list[str]) -> None:
    logger_of(own(store), "s").compare()
    add_trial(study, 1, 0.5)
    logger_of(own(store), "s").compare()
    assert drawn == ["comparison", "description", "comparison"]


def test_runs_are_found_over_pages_and_the_deleted_ones_last(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_run, "_PAGE", 2)
    experiment = client.create_experiment("x")
    for name in "abcdef":
        client.create_run(experiment, tags={"insects.role": "trial" if name < "f" else "search"}, run_name=name)
    deleted = {run.info.run_name: run.info.run_id for run in find_runs(client, experiment, "")}
    for name in "bcf":
        client.delete_run(deleted[name])
    found = [run.info.run_name for run in find_runs(client, experiment, "tags.`insects.role` = 'trial'")]
    assert (set(found[:3]), set(found[3:])) == ({"a", "d", "e"}, {"b", "c"})


def test_two_stores_have_a_search_each_in_one_experiment(
    store: Path, study: StudyFolder, client: MlflowClient, tmp_path: Path
) -> None:
    other = Store.at(tmp_path / "other", own(store).tracking_uri)
    other_study = study_of(other.path, "s", seed=0, loss=0.5)
    for place in (own(store), other):
        logger_of(place, "s").log_missing()
    experiment = client.get_experiment_by_name("s")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`insects.role` = 'search'")
    assert {run.data.tags["insects.search_id"] for run in runs} == {study.id, other_study.id}
    assert len(client.search_runs([experiment.experiment_id])) == 4
