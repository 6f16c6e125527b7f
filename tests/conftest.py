"""What every test stands on: an environment without MLflow settings, and stores that are made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.search.commands import Finished, run_finished


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
    from search.store.store import Store

    database = tmp_path_factory.mktemp("empty") / "mlflow.db"
    Store.at(database.parent, f"sqlite:///{database}").client().search_experiments(max_results=1)
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
