"""Running the commands, installed or inside this process, and reading what MLflow has of a study."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from insects.errors import InsectsError
from insects.training.compiled import warm_up
from search.cli import main
from search.commands import evaluation_worker
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.tracking.client import configure_mlflow, mlflow_client
from search.upload import uploader, worker_process
from tests.support.studies import DIVERGING, PARAMS, UNTRAINABLE, as_dict

BIN = Path(sys.executable).parent
SMALL = ("--trials", "6", "--epochs", "3", "--width", "8:16", "--depth", "1:2", "--finalists", "2", "--folds", "2")


def command(*words: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run an installed command to its end."""
    return subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**{key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}, **environment},
    )


@contextmanager
def searching(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A running `insects-search` whose first trial has ended. The caller reads the rest of its streams."""
    with subprocess.Popen(
        [BIN / "insects-search", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("trial "):
            assert process.poll() is None, process.stderr.read()
        yield process


@dataclass(frozen=True)
class Finished:
    """A store with the study of one `insects-search --json`.

    Attributes:
        store: The store.
        answer: The object that the command printed.
        stdout: Its output.
        stderr: Its messages.
        arguments: Its arguments, without the store.
        tracked: The contents of MLflow when it had ended.
    """

    store: Path
    answer: dict[str, Any]
    stdout: str
    stderr: str
    arguments: tuple[str, ...]
    tracked: dict[str, Any]

    @property
    def folder(self) -> StudyFolder:
        """Its one study."""
        return StudyFolder(self.store / "trials" / self.answer["study"])


def run_finished(place: Path) -> Finished:
    """Search a study with trials that are complete, diverged, failed and pruned."""
    configs = place / "configs.json"
    configs.write_text(json.dumps([as_dict(params) for params in (PARAMS, DIVERGING, UNTRAINABLE, PARAMS)]))
    arguments = (*SMALL, "--trials", "14", "--window", "4", "--pruner", "percentile:30", "--configs", str(configs))
    store = place / "store"
    done = command("insects-search", *arguments, "--store", str(store), "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    return Finished(store, answer, done.stdout, done.stderr, arguments, contents(store, answer["study"]))


class InlineProcess:
    """Stands in for `WorkerProcess`: calls the worker in this process, which has imported its libraries already.

    Arguments and results pass through JSON, as they do between processes.
    """

    has_ended = False

    def __init__(self, worker: type[Any], *arguments: str, niceness: int = 0, keeps_open: Any = None) -> None:
        warm_up()  # before any export, during which torch replaces functions of `math` that numba's loading reads
        self._worker = worker(*arguments)

    def submit(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        requests = io.StringIO(json.dumps([method.__name__, args, kwargs]) + "\n")
        answers = io.StringIO()
        worker_process.serve(self._worker, requests, answers)
        call = worker_process._Call(method, args, kwargs)
        call.finish(json.loads(answers.getvalue()))
        return call.future

    submit_next = submit

    def close(self) -> None:
        if hasattr(self._worker, "close"):
            self._worker.close()

    kill = close


class RefusingProcess:
    """Stands in for `WorkerProcess`: every call fails, as without a connection to MLflow."""

    REASON = "MLflow was asked"
    has_ended = False

    def __init__(self, worker: type[Any], *arguments: str, niceness: int = 0) -> None:
        pass

    def submit(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(InsectsError(self.REASON))
        return future

    submit_next = submit

    def close(self) -> None:
        pass

    kill = close


def own(path: Path) -> Store:
    """A store with its own MLflow, though `mlflow.set_tracking_uri` may have set another one in the environment."""
    return Store.at(path, f"sqlite:///{path / 'mlflow.db'}")


def client_of(place: Store | Path) -> MlflowClient:
    """A client of the MLflow of a store."""
    store = own(place) if isinstance(place, Path) else place
    configure_mlflow(store)
    return mlflow_client(store)


def invoke(monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str, workers: type[Any] = InlineProcess) -> Result:
    """Run a command in this process.

    Args:
        monkeypatch: Restores what is replaced.
        name: The command without `insects-`.
        arguments: Its arguments.
        workers: The class in place of `WorkerProcess`.

    Raises:
        Exception: An exception of the command that is a bug.
    """
    for module in (uploader, evaluation_worker):
        monkeypatch.setattr(module, "WorkerProcess", workers)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # `mlflow.set_tracking_uri` sets it
    result = CliRunner().invoke(getattr(main, name), list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def contents(store: Path, study: str) -> dict[str, Any]:
    """All that MLflow has of a study, without the ids, times and paths that differ from store to store.

    Args:
        store: A store with its own MLflow.
        study: The study's name.

    Returns:
        `runs` by name and `versions`. Values of metrics are strings, which are exact, and equal for not-a-numbers.
    """
    client = client_of(store)
    experiment = client.get_experiment_by_name(study)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    names = {run.info.run_id: run.info.run_name for run in runs}
    found: dict[str, Any] = {}
    for run in sorted(runs, key=lambda run: str(run.info.run_name)):
        tags = {
            key: value
            for key, value in run.data.tags.items()
            if not key.startswith("mlflow.") and key not in ("insects.store", "insects.search_id", "insects.report")
        }
        histories = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
        found.setdefault(str(run.info.run_name), []).append(
            {
                "status": run.info.status,
                "tags": tags,
                "parent": names.get(run.data.tags.get("mlflow.parentRunId", "")),
                "params": run.data.params,
                "metrics": {key: [(m.step, repr(m.value), m.timestamp) for m in ms] for key, ms in histories.items()},
                "artifacts": {
                    name: digest
                    for name, digest in digests(Path(run.info.artifact_uri.removeprefix("file://"))).items()
                    if name != "report.html"  # it names its store
                },
                "datasets": [
                    (entry.dataset.name, entry.dataset.digest, [(tag.key, tag.value) for tag in entry.tags])
                    for entry in (run.inputs.dataset_inputs if run.inputs else [])
                ],
            }
        )
    versions = client.search_model_versions("name = 'insects-mlp'")
    return {
        "runs": found,
        "versions": [
            {
                "version": str(version.version),
                "aliases": list(client.get_model_version(version.name, str(version.version)).aliases),
                "run": names.get(version.run_id),
                "search": names.get(version.tags["insects.search_run"]),
                "tags": {key: value for key, value in version.tags.items() if not key.startswith("insects.search_")},
            }
            for version in versions
        ],
    }


def digests(folder: Path) -> dict[str, str]:
    """The digest of every file in a folder, by name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
