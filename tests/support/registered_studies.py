"""Studies of one trial with a made-up loss, and their registration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from insects.params import Recipe
from insects.training import init
from search.registry.alias import RegisteredModel
from search.registry.versions import register
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.tracking.client import configure_mlflow
from search.tracking.trial_runs import TrialRunLogger
from tests.support.commands import own
from tests.support.studies import PARAMS, a_config, a_result, begun_folder, builtin_splits


def study_of(
    store: Path, name: str, seed: int, loss: float = 1.0, data: str | None = None, started: float = 1.7e9
) -> StudyFolder:
    """A study on the built-in data, or on what is said to be other data."""
    folder = begun_folder(store, a_config(seed=seed), name)
    state = init(PARAMS, Recipe(1), builtin_splits()[0].shape, seed, 0)
    folder.save(replace(a_result(0, losses=(loss,)), weights=state.weights, started=started))
    if data:
        path = folder.path / "study.json"
        description = json.loads(path.read_text())
        description["fingerprint"]["data"]["digest"] = data
        path.write_text(json.dumps(description))
    return folder


def logger_of(store: Store, study: str) -> TrialRunLogger:
    """What writes the runs of a study to MLflow."""
    configure_mlflow(store)
    return TrialRunLogger(store, store.study(study), {"figures": 0.0, "tracking": 0.0})


def registered(store: Path, folder: StudyFolder, name: str = "insects-mlp", recompare: bool = True) -> RegisteredModel:
    """Upload its trial and register it, as a search does."""
    runs = logger_of(own(store), folder.name).run_ids(0)
    model = register(own(store), folder, 0, runs, name, recompare)
    assert model is not None
    return model
