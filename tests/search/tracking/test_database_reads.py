"""Reads of MLflow's SQLite file: what MLflow's client finds, or nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from search.tracking.database_reads import SCHEMA, find_version, last_experiment
from search.tracking.tags import STUDY_TAG
from tests.support.commands import Finished, client_of, own

NAME = "insects-mlp"


def test_schema_is_that_of_mlflow(empty_database: Path) -> None:
    with closing(sqlite3.connect(empty_database)) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]


def test_version_is_the_one_of_mlflows_client(finished: Finished) -> None:
    store, client = own(finished.store), client_of(finished.store)
    expected = client.get_model_version_by_alias(NAME, "best")
    found = find_version(store, NAME, "best", "")
    assert found is not None
    assert (found.name, found.version, found.run) == (NAME, str(expected.version), expected.run_id)
    assert found.tags == expected.tags
    model = client.get_logged_model(str(expected.source).rpartition("/")[2])
    assert found.files.as_uri() == model.artifact_location
    assert find_version(store, NAME, "", found.version) == found


def test_experiment_is_the_one_of_the_study(finished: Finished) -> None:
    store, study = own(finished.store), finished.answer["study"]
    expected = client_of(finished.store).get_experiment_by_name(study)
    assert expected is not None
    assert last_experiment(store, STUDY_TAG, study) == expected.experiment_id
    of_studies = [each for each in client_of(finished.store).search_experiments() if STUDY_TAG in each.tags]
    newest = max(of_studies, key=lambda each: each.creation_time or 0)  # other tests may have searched in this store
    assert last_experiment(store, STUDY_TAG, None) == newest.experiment_id
    assert last_experiment(store, STUDY_TAG, "other") is None
    assert last_experiment(store, "other", None) is None


@pytest.mark.parametrize("asked", [("moths", "best", ""), (NAME, "worst", ""), (NAME, "", "7"), (NAME, "", "9" * 20)])
def test_unknown_version_is_left_to_mlflow(asked: tuple[str, str, str], finished: Finished) -> None:
    assert find_version(own(finished.store), *asked) is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE alembic_version SET version_num = 'later'",
        "DELETE FROM alembic_version",
        "DROP TABLE model_version_tags",
        "UPDATE logged_models SET lifecycle_stage = 'deleted'",
        "UPDATE model_versions SET current_stage = 'Deleted_Internal'",
        "UPDATE logged_models SET artifact_location = 's3://bucket/model'",
        "UPDATE logged_models SET artifact_location = 'file:///nowhere'",
    ],
)
def test_what_is_not_as_expected_is_left_to_mlflow(change: str, finished: Finished, tmp_path: Path) -> None:
    path = Path(shutil.copy(finished.store / "mlflow.db", tmp_path))
    store = replace(own(finished.store), tracking_uri=f"sqlite:///{path}")
    assert find_version(store, NAME, "best", "") is not None
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(change)
    assert find_version(store, NAME, "best", "") is None


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "sqlite:////nowhere/mlflow.db"])
def test_other_stores_are_left_to_mlflow(uri: str, finished: Finished) -> None:
    assert last_experiment(replace(own(finished.store), tracking_uri=uri), STUDY_TAG, None) is None
