"""The experiment of a study: found by the study's fingerprint, created once, never that of something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient

from insects.errors import StoreError
from search.store.study_folder import StudyFolder
from search.tracking.experiment import study_experiment
from search.tracking.mlflow_views import VIEW_TAG, study_view
from tests.support.commands import client_of, own
from tests.support.registered_studies import study_of


@pytest.fixture
def study(store: Path) -> StudyFolder:
    return study_of(store, "s", seed=0)


@pytest.fixture
def client(store: Path) -> MlflowClient:
    return client_of(store)


def test_experiment_is_created_once_with_the_studys_name_and_view(
    client: MlflowClient, store: Path, study: StudyFolder
) -> None:
    created = study_experiment(client, own(store), study)
    assert study_experiment(client, own(store), study) == created
    experiment = client.get_experiment(created)
    assert experiment.name == "s"
    assert experiment.artifact_location == (store / "artifacts" / "s").as_uri()
    assert experiment.tags["insects.study"] == "s"
    assert experiment.tags["mlflow.note.content"] == "A search on built-in insects\\_train.csv"  # in Markdown
    assert experiment.tags[VIEW_TAG] == study_view("loss")
    assert len(client.search_experiments()) == 2  # with MLflow's default


def test_renamed_experiment_is_found(client: MlflowClient, store: Path, study: StudyFolder) -> None:
    created = study_experiment(client, own(store), study)
    client.rename_experiment(created, "mine")
    assert study_experiment(client, own(store), study) == created
    assert client.get_experiment(created).name == "mine"


def not_of_this_study(store: Path) -> str:
    return (
        f"experiment s at sqlite:///{store}/mlflow.db is not of this study, or of other data or settings: rename it "
        "(or remove it with `mlflow gc` if it was deleted), or search with another --study"
    )


@pytest.mark.parametrize("deleted", [False, True])
def test_experiment_of_other_settings_is_left_alone(
    deleted: bool, client: MlflowClient, store: Path, study: StudyFolder
) -> None:
    """The results of a study were deleted, and its name is used again."""
    created = study_experiment(client, own(store), study)
    if deleted:
        client.delete_experiment(created)
    path = study.path / "study.json"
    description = json.loads(path.read_text())
    description["fingerprint"]["seed"] = 7
    path.write_text(json.dumps(description))
    with pytest.raises(StoreError) as caught:
        study_experiment(client, own(store), study)
    assert str(caught.value) == not_of_this_study(store)
    if not deleted:
        client.rename_experiment(created, "old")
        assert study_experiment(client, own(store), study) != created


def test_experiment_of_the_users_own_is_left_alone(client: MlflowClient, store: Path, study: StudyFolder) -> None:
    created = client.create_experiment("s")
    with pytest.raises(StoreError) as caught:
        study_experiment(client, own(store), study)
    assert str(caught.value) == not_of_this_study(store)
    assert set(client.get_experiment(created).tags) <= {"mlflow.experimentKind"}
