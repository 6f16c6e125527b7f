"""The runs of a study's trials in MLflow, a nested run a trial, written once each.

A run is looked up before it is created, and terminated last, so a terminated run is complete.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from insects import mlp
from insects.errors import StoreError
from insects.objective import METRICS
from insects.trial import TrialResult
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.system.files import temporary_folder
from search.tracking import run_values
from search.tracking.client import mlflow_client, mlflow_errors
from search.tracking.experiment import study_experiment
from search.tracking.mlflow_internals import artifact_repository
from search.tracking.search_run import compare_trials, find_runs, open_search_run
from search.tracking.tags import PARENT_TAG, ROLE_TAG, STUDY_TAG, TRIAL_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run

    from insects.plots import TrialFigures

_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_METRICS_A_BATCH = 1000  # MLflow's limit


@dataclass(frozen=True)
class RunIds:
    """Ids of a trial's experiment, of its search's run and of its own run."""

    experiment: str
    search: str
    trial: str


@dataclass(frozen=True)
class TrialRun:
    """A trial's run as it is in MLflow.

    Attributes:
        run_id: Its id.
        artifact_uri: Where its files are.
        finished: It is complete, or a person has deleted it.
    """

    run_id: str
    artifact_uri: str
    finished: bool


class TrialRunLogger:
    """Writes the finished trials of one study to MLflow.

    Every method raises StoreError if MLflow does not answer. What was written is found again by a new logger.

    Args:
        store: The store that the study is in.
        folder: The study.
        seconds: `figures` and `tracking` grow by the seconds spent.
    """

    def __init__(self, store: Store, folder: StudyFolder, seconds: dict[str, float]) -> None:
        self._store, self._folder, self._seconds = store, folder, seconds
        self._fingerprint, self._data = folder.fingerprint, folder.data()
        self._client = mlflow_client(store)
        self._figures: TrialFigures | None = None
        with mlflow_errors(store.tracking_uri):
            self._experiment_id = study_experiment(self._client, store, folder)
        self._search_run_id = open_search_run(self._client, store, folder, self._experiment_id)
        with mlflow_errors(store.tracking_uri):
            wanted = f"tags.`{ROLE_TAG}` = 'trial' and tags.`{PARENT_TAG}` = '{self._search_run_id}'"
            self._runs = _by_trial(find_runs(self._client, self._experiment_id, wanted))

    def log(self, number: int) -> None:
        """Write the run of a finished trial, unless MLflow has it."""
        run = self._runs.get(number)
        if run is not None and run.finished:
            return
        result = self._folder.load(number)
        if result is None:
            raise StoreError(
                f"the result of trial {number} of study {self._folder.name} was damaged and is set aside: run the same "
                "search again, which trains the trial again"
            )
        with temporary_folder() as local:
            started = time.perf_counter()
            self._draw(result, local)
            drawn = time.perf_counter()
            with mlflow_errors(self._store.tracking_uri):
                self._runs[number] = self._write(run or self._create(result), result, local)
            self._seconds["figures"] += drawn - started
            self._seconds["tracking"] += time.perf_counter() - drawn

    def log_missing(self) -> None:
        """Write the runs of all finished trials that MLflow does not have."""
        for number in self._folder.numbers():
            self.log(number)

    def run_ids(self, number: int) -> RunIds:
        """Return the ids of a trial's runs; the trial's own run is written unless MLflow has it."""
        self.log(number)
        return RunIds(self._experiment_id, self._search_run_id, self._runs[number].run_id)

    def compare(self) -> None:
        """Bring the comparison of all trials to the search's run."""
        compare_trials(self._client, self._search_run_id, self._folder, self._figures, self._seconds)

    def finish(self, status: str) -> None:
        """Terminate the search's run with a status of MLflow."""
        with mlflow_errors(self._store.tracking_uri):
            self._client.set_terminated(self._search_run_id, status)

    def _draw(self, result: TrialResult, local: Path) -> None:
        """Write the files of a run into a folder."""
        if not result.epochs:
            (local / "traceback.txt").write_text(result.reason, encoding="utf-8", errors="backslashreplace")
            return
        if self._figures is None:
            from search.reports.comparison import trial_figures

            self._figures = trial_figures(self._folder, self._data)
        title = run_values.trial_title(result.number, result.params)
        curves = self._figures.loss_curves(result.history[:, : len(METRICS)], result.best_epoch, title)
        predict = partial(mlp.logits, result.weights, result.params, self._data.sample.shape)
        (local / "loss_curves.png").write_bytes(curves)
        (local / "decision_boundary.png").write_bytes(self._figures.decision_boundary(predict, title))
        if self._figures.has_columns:
            (local / "decision_columns.png").write_bytes(self._figures.decision_columns(predict, title))
        shutil.copyfile(self._folder.file(result.number), local / "trial.npz")

    def _create(self, result: TrialResult) -> TrialRun:
        tags = {
            ROLE_TAG: "trial",
            TRIAL_TAG: str(result.number),
            STUDY_TAG: self._folder.name,
            PARENT_TAG: self._search_run_id,
            "state": result.state,
            **run_values.notes(result),
        }
        name = f"trial-{result.number:04d}"
        return _trial_run(
            self._client.create_run(
                self._experiment_id, start_time=run_values.started(result), run_name=name, tags=tags
            )
        )

    def _write(self, run: TrialRun, result: TrialResult, local: Path) -> TrialRun:
        """Bring a run to its end, whatever it has already: MLflow keeps equal metrics and files once."""
        params = run_values.trial_params(result, self._fingerprint, self._data.sample.shape)
        best = run_values.best_metrics(result, run_values.ended(result), result.best_epoch)
        metrics = run_values.epoch_metrics(result) + best
        room = _METRICS_A_BATCH - len(params)  # the limit counts both
        self._client.log_batch(run.run_id, metrics=metrics[:room], params=params)
        for start in range(room, len(metrics), _METRICS_A_BATCH):
            self._client.log_batch(run.run_id, metrics=metrics[start : start + _METRICS_A_BATCH])
        artifact_repository(run.artifact_uri, self._store.tracking_uri).log_artifacts(str(local))
        self._client.set_terminated(run.run_id, _STATUS[result.state], run_values.ended(result))
        return replace(run, finished=True)


def _by_trial(found: Iterable[Run]) -> dict[int, TrialRun]:
    """Index runs by trial, the first run of each. A run whose trial a person has edited is left alone."""
    runs: dict[int, TrialRun] = {}
    for run in found:
        number = run.data.tags.get(TRIAL_TAG, "")
        if re.fullmatch("[0-9]{1,9}", number):
            runs.setdefault(int(number), _trial_run(run))
    return runs


def _trial_run(run: Run) -> TrialRun:
    finished = run.info.status in _STATUS.values() or run.info.lifecycle_stage == "deleted"
    return TrialRun(str(run.info.run_id), str(run.info.artifact_uri), finished)
