"""Studies of one trial with a made-up loss: their upload and their registration."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus

from insects.final import FoldResult
from insects.params import ClassWeight, Metric, Recipe
from insects.training import init
from search.registry import versions
from search.registry.alias import RegisteredModel
from search.registry.versions import register
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.winner import TrainedModel
from search.tracking import search_run
from search.tracking.client import configure_mlflow, mlflow_errors
from search.tracking.trial_runs import RunIds, TrialRunLogger
from tests.support.commands import own
from tests.support.studies import PARAMS, a_config, a_result, begun_folder, builtin_splits


def study_of(
    store: Path, name: str, seed: int, loss: float = 1.0, data: str | None = None, started: float = 1.7e9,
    metric: Metric = "loss", class_weight: ClassWeight = "none",
) -> StudyFolder:  # fmt: skip
    """A study of one trial on the built-in data, whose digest of rows may be replaced; `loss` is the objective."""
    config = a_config(seed=seed)
    config = replace(config, recipe=replace(config.recipe, metric=metric, class_weight=class_weight))
    folder = begun_folder(store, config, name)
    state = init(PARAMS, Recipe(1), builtin_splits()[0].shape, seed, 0)
    folder.save(replace(a_result(0, losses=(loss,), metric=metric), weights=state.weights, started=started))
    if data:
        path = folder.path / "study.json"
        description = json.loads(path.read_text())
        description["fingerprint"]["data"]["rows"] = data
        path.write_text(json.dumps(description))
    return folder


def logger_of(store: Store, study: str) -> TrialRunLogger:
    """The logger of a study's trials, as `RunsWorker` makes it."""
    configure_mlflow(store)
    return TrialRunLogger(store, store.study(study), {"figures": 0.0, "tracking": 0.0})


def without_comparison_figures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write short files in place of the figures of a search's run, which take seconds; return what was written."""
    written: list[str] = []

    def write(name: str, local: Path, *_: object) -> None:
        (local / f"{name}.png").write_bytes(name.encode())
        written.append(name)

    monkeypatch.setattr(search_run, "write_comparison", partial(write, "comparison"))
    monkeypatch.setattr(search_run, "write_description", partial(write, "description"))
    return written


def without_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register logged models without files: an export takes seconds."""

    def log_model(client: MlflowClient, folder: StudyFolder, trained: TrainedModel, runs: RunIds) -> str:
        with mlflow_errors(client.tracking_uri):
            model = client.create_logged_model(runs.experiment, name="model", source_run_id=runs.model)
            return str(client.finalize_logged_model(model.model_id, LoggedModelStatus.READY).model_uri)

    monkeypatch.setattr(versions, "log_model", log_model)


def finalist_of(store: Path, name: str, seed: int, loss: float) -> StudyFolder:
    """A study of one trial with a final on two folds, whose loss out of fold is `loss`."""
    folder = study_of(store, name, seed)
    trial = folder.load(0)
    assert trial is not None
    y = np.zeros(3, np.int32)
    logits = np.zeros((3, 5), np.float32)
    logits[:, 0] = np.log(4 / (np.exp(loss) - 1))  # the probability of class 0 is exp(-loss)
    for fold in (0, 1):
        folder.save_fold(FoldResult(trial, fold, logits, y))
    return folder


def registered(
    store: Path, folder: StudyFolder, name: str = "insects-mlp", recompare: bool = True, folds: int = 0
) -> RegisteredModel:
    """Upload the trial of a study, or its finalist, and register its model, as a search does."""
    runs = logger_of(own(store), folder.name).log(0, folds)
    model = register(own(store), folder, 0, folds, runs, name, recompare)
    assert model is not None
    return model
