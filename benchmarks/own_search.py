"""`insects-search` as the methods of a benchmark have it: a search, and what the model that it registers predicts."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from insects import mlp
from search.cli import output, requests
from search.cli.main import search as search_command
from search.commands import search as search_module
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.winner import load_model, winner_of

Probabilities = NDArray[np.float64]
Answer = dict[str, Any]
"""What `insects-search --json` prints."""


def registered_logits(folder: StudyFolder, answer: Answer, x_NK: mlp.Floats) -> NDArray[np.float64]:
    """Logits of the model that a search registers, for coded rows, without MLflow.

    This is the one place of the benchmarks that knows how a registered model follows from a study. `benchmarks.quality`
    compares it with the program that the command has registered.

    Args:
        folder: The study.
        answer: What the search printed.
        x_NK: The rows, as `StudyFolder.data().test.x` has them.
    """
    winner = winner_of(folder, folder.results_without_weights())
    assert winner is not None, f"{answer['study']} has a trial with a finite loss"
    model, sample = load_model(folder, winner.number, winner.folds), folder.data().sample
    assert model is not None, "its networks have files"
    inputs = sample.encoder.transform(x_NK)
    return mlp.mean_logits(model.weights, model.params, sample.shape, inputs).astype(np.float64)


def program_logits(store: Path, answer: Answer, x_NK: mlp.Floats) -> NDArray[np.float64]:
    """Logits of the program that a search has registered in MLflow, for coded rows.

    Args:
        store: The folder of the search's store.
        answer: What the command printed.
        x_NK: The rows.
    """
    # MLflow knows one store a process.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_program_logits, store, str(answer["model"]["uri"]), x_NK).result()


def _program_logits(store: Path, uri: str, x_NK: mlp.Floats) -> NDArray[np.float64]:
    import mlflow.pytorch
    import torch

    from search.tracking.client import configure_mlflow

    torch.set_num_threads(1)  # several wait for each other where other programs use the cores
    configure_mlflow(Store.at(store))
    module = mlflow.pytorch.load_model(uri)
    with torch.no_grad():
        return np.asarray(module(torch.from_numpy(x_NK)).numpy(), np.float64)


def run_command(options: Sequence[str], store: Path) -> tuple[StudyFolder, Answer, float]:
    """Run the command itself; return its study, its answer and its seconds.

    Args:
        options: Its options, without `--store` and `--json`.
        store: The folder of its store.
    """
    program = str(Path(sys.executable).with_name("insects-search"))
    started = time.perf_counter()
    done = subprocess.run([program, *options, "--store", str(store), "--json"], check=True, capture_output=True)
    seconds, answer = time.perf_counter() - started, json.loads(done.stdout)
    assert answer["upload_error"] is None, answer["upload_error"]
    return Store.at(store).study(answer["study"]), answer, seconds


def run_here(options: Sequence[str], store: Path) -> tuple[StudyFolder, Answer]:
    """Run the command's search in this process, without its uploads to MLflow, which cost seconds and change no model.

    Args:
        options: Its options, without `--store` and `--json`.
        store: The folder of its store.
    """
    with search_command.make_context("insects-search", [*options, "--store", str(store)]) as context:
        request = requests.search_request(context.params)
    without = {name: mock.Mock(side_effect=lambda *_: _NoUploads()) for name in ("upload_workers", "Uploader")}
    with mock.patch.multiple(search_module, **without), contextlib.redirect_stderr(io.StringIO()):
        outcome = search_module.run_search(request, Store.at(store), time.perf_counter())
    return Store.at(store).study(outcome.study), output.search_json(outcome)


class _NoUploads:
    """In the place of the worker processes and of the uploader of a search: every call does nothing."""

    upload_error, storage = "", None

    def __init__(self) -> None:
        self.seconds = {"figures": 0.0, "tracking": 0.0}

    def __enter__(self) -> _NoUploads:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def own_probabilities(
    train: pd.DataFrame, test: pd.DataFrame, target: str, options: Sequence[str] = ()
) -> tuple[Probabilities, list[str], float]:
    """Search, and predict with the registered model.

    Args:
        train: The rows to search on.
        test: The rows to predict.
        target: The label column.
        options: More options of the command.

    Returns:
        Probabilities `(N, C)` of the rows of `test`, the C classes, and the accuracy that the search says is to be
        expected; without a final, that of its best trial.
    """
    with tempfile.TemporaryDirectory() as place:
        paths = Path(place, "train.csv"), Path(place, "test.csv")
        for path, rows in zip(paths, (train, test), strict=True):
            rows.to_csv(path, index=False)
        of_data = ["--train", str(paths[0]), "--test", str(paths[1]), "--target", target, "--workers", "1"]
        folder, answer = run_here([*of_data, *options], Path(place, "store"))
        data = folder.data()
        assert len(data.test.y) == len(test), "every row has a label"
        logits = registered_logits(folder, answer, data.test.x)
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True)), list(data.sample.classes), shown_accuracy(answer)


def shown_accuracy(answer: Answer) -> float:
    """The accuracy that a search says is to be expected; without a final, that of its best trial."""
    final, best = answer["final"], answer["best"]
    return float(final["expected_accuracy"] if final else best["valid_accuracy"])


def predicted(folder: StudyFolder, answer: Answer, x_NK: mlp.Floats) -> NDArray[np.intp]:
    """Numbers of the classes that the registered model predicts; see `registered_logits`."""
    return np.asarray(registered_logits(folder, answer, x_NK).argmax(axis=1))


def warm_up() -> None:
    """Compile the engine and load libraries, which is no part of any method's time."""
    with tempfile.TemporaryDirectory() as store:
        folder, answer = run_here(["--trials", "2", "--scaling", "ple", "--workers", "1"], Path(store))
        predicted(folder, answer, folder.data().test.x)
