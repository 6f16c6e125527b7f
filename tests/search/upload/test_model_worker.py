"""The worker that registers the best model: retries, and the lock of the store."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient

from search.system.lock import LockHeldError, hold
from search.upload import model_worker
from search.upload.model_worker import ModelWorker
from tests.support.commands import client_of, own
from tests.support.registered_studies import logger_of, study_of, without_export


@pytest.fixture
def runs(store: Path) -> list[str]:
    """The values of the run ids of a study's trial."""
    study_of(store, "s", seed=0)
    return list(dataclasses.astuple(logger_of(own(store), "s").log(0)))


@pytest.fixture
def worker(store: Path) -> ModelWorker:
    return ModelWorker(str(store), own(store).tracking_uri)


def test_model_is_registered_in_a_second_attempt_if_an_answer_is_lost(
    worker: ModelWorker, store: Path, runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create, pauses = MlflowClient.create_model_version, list[float]()

    def lost(*arguments: Any, **options: Any) -> None:
        create(*arguments, **options)
        raise ConnectionError("the answer was lost")

    without_export(monkeypatch)
    monkeypatch.setattr(MlflowClient, "create_model_version", lost)
    monkeypatch.setattr(time, "sleep", pauses.append)
    registered = worker.register("s", 0, 0, runs, "insects-mlp", True)
    assert registered is not None
    assert (registered.version, registered.alias, registered.note) == ("1", "best", "version 1 is now best")
    assert pauses == [1.0]
    assert len(client_of(store).search_model_versions("name = 'insects-mlp'")) == 1


def test_models_of_a_store_are_registered_one_at_a_time(
    worker: ModelWorker, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_worker, "LOCK_SECONDS", 0.0)
    with hold(store / "register.lock"), pytest.raises(LockHeldError, match=r"register\.lock is held by process"):
        worker.register("s", 0, 0, ["1", "2", "3"], "insects-mlp", True)


def test_warm_up_exports_a_model_for_any_number_of_rows(worker: ModelWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    save, programs = torch.export.save, list[Any]()

    def recorded(program: Any, file: Any) -> None:
        save(program, file)
        programs.append(program)

    monkeypatch.setattr(torch.export, "save", recorded)
    worker.warm_up()
    (program,) = programs
    assert program.module()(torch.zeros(5, 1)).tolist() == [[0.0, 0.0]] * 5
