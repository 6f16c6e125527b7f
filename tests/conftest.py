"""Fixtures of all tests: an environment without MLflow settings, and stores that are made once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.store.study_folder import StudyFolder
from tests.support.commands import Finished, client_of, invoke, run_finished
from tests.support.disks import mounted
from tests.support.image_search import TINY, Searched
from tests.support.real_tables import penguins
from tests.support.reference_study import CONFIG, TRIALS, Reference
from tests.support.studies import run_study


@pytest.fixture(autouse=True)
def no_mlflow_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own server is not for tests."""
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_ALLOW_PICKLE_DESERIALIZATION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A store that the installed command has filled with one study; tests only read it."""
    return run_finished(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables without content: making them takes seconds, copying them does not."""
    database = tmp_path_factory.mktemp("empty") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it, and no process may write to this database
        client_of(database.parent)
    return database


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Path:
    """A store without studies."""
    path = tmp_path / "store"
    path.mkdir()
    shutil.copy(empty_database, path)
    return path


@pytest.fixture
def untracked(store: Path, finished: Finished) -> Path:
    """The finished store's results with an MLflow that knows nothing of them, as if it had been deleted."""
    shutil.copytree(finished.store / "trials", store / "trials")
    shutil.copy(finished.store / "optuna.journal", store)
    return store


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A store with an uninterrupted study of one worker, and its results."""
    store = tmp_path_factory.mktemp("reference")
    return store, run_study(store, CONFIG, TRIALS, workers=1)


@pytest.fixture
def copied(reference: Reference, tmp_path: Path) -> Path:
    """A copy of the reference's store."""
    return Path(shutil.copytree(reference[0], tmp_path / "store"))


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """A study's folder with nothing in it."""
    folder = StudyFolder(tmp_path / "trials" / "s")
    folder.make()
    return folder


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Searched:
    store = tmp_path_factory.mktemp("images")
    shutil.copy(empty_database, store)
    with pytest.MonkeyPatch.context() as patch:
        done = invoke(patch, "search", "--images", "demo", *TINY, "--store", str(store), "--json")
    assert done.exit_code == 0, done.stderr
    return Searched(store, json.loads(done.stdout), done.stderr)


@pytest.fixture(scope="session")
def on_penguins(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A store with a search on the penguins; its registered model has categories and gaps."""
    store = tmp_path_factory.mktemp("penguins")
    shutil.copy(empty_database, store)
    table = store.parent / "penguins.csv"
    penguins().to_csv(table, index=False)
    arguments = ("--train", str(table), "--target", "species", "--trials", "2", "--epochs", "10")
    with pytest.MonkeyPatch.context() as patch:
        done = invoke(patch, "search", *arguments, "--store", str(store))
    assert done.exit_code == 0, done.stderr
    return store


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that a search fits on."""
    with mounted(tmp_path / "disk", "60m") as folder:
        yield folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for one small file, which is what `tempfile` asks of one."""
    with mounted(tmp_path / "disk", "4k") as folder:
        yield folder
