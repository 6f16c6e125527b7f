"""Studies of one trial with a made-up loss, and their registration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from insects.params import Recipe
from insects.training import init
from search.registry.alias import Registered
from search.registry.logged_models import Runs
from search.registry.versions import register
from search.store.study_folder import StudyFolder
from search.tracking.trial_runs import Projection
from tests.search.commands import own
from tests.search.studies import PARAMS, a_plan, a_result, begun_folder, builtin_splits


def study_of(
    store: Path, name: str, seed: int, loss: float = 1.0, data: str | None = None, started: float = 1.7e9
) -> StudyFolder:
    """A study on the built-in data, or on what is said to be other data."""
    folder = begun_folder(store, a_plan(seed=seed), name)
    state = init(PARAMS, Recipe(1), builtin_splits()[0].shape, seed, 0)
    folder.save(replace(a_result(0, losses=(loss,)), weights=state.weights, started=started))
    if data:
        path = folder.path / "study.json"
        description = json.loads(path.read_text())
        description["identity"]["data"]["digest"] = data
        path.write_text(json.dumps(description))
    return folder


def registered(store: Path, folder: StudyFolder, name: str = "insects-mlp") -> Registered:
    """Deliver its trial and register it, as a search does."""
    projection = Projection(own(store), folder)
    runs = Runs(projection.experiment_id, projection.search_run_id, projection.deliver(0))
    return register(own(store), folder, 0, runs, name)
