"""The runs of a study's trials and finalists in MLflow, nested under the search's run, written once each.

A run is looked up before it is created, and terminated last, so a terminated run is complete.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from insects.errors import StoreError
from search.reports.descriptions import FigureFormat
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.winner import model_title
from search.system.files import temporary_folder
from search.tracking.client import mlflow_client, mlflow_errors
from search.tracking.experiment import study_experiment
from search.tracking.mlflow_internals import artifact_repository
from search.tracking.run_content import FINAL, TRIAL, RunContent, final_content, trial_content
from search.tracking.search_run import compare_trials, find_runs, log_report, open_search_run
from search.tracking.tags import PARENT_TAG, ROLE_TAG, STUDY_TAG, TRIAL_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run

    from insects.plots import TrialFigures

_ENDED = ("FINISHED", "KILLED", "FAILED")
_METRICS_A_BATCH = 1000  # MLflow's limit


@dataclass(frozen=True)
class RunIds:
    """Ids of a study's experiment, of its search's run and of the trial's or finalist's run that has the model."""

    experiment: str
    search: str
    model: str


@dataclass(frozen=True)
class LoggedRun:
    """A run as it is in MLflow.

    Attributes:
        run_id: Its id.
        artifact_uri: Where its files are.
        finished: It is complete, or a person has deleted it.
    """

    run_id: str
    artifact_uri: str
    finished: bool


class TrialRunLogger:
    """Writes the finished trials and the finalists of one study to MLflow.

    Every method raises StoreError if MLflow does not answer. What was written is found again by a new logger.

    Args:
        store: The store that the study is in.
        folder: The study.
        seconds: `figures` and `tracking` grow by the seconds spent.

    Attributes:
        figures: What has drawn the figures of the trials; None: none was drawn yet.
    """

    def __init__(self, store: Store, folder: StudyFolder, seconds: dict[str, float]) -> None:
        self._store, self._folder, self._seconds = store, folder, seconds
        self._data = folder.data()
        self._client = mlflow_client(store)
        self.figures: TrialFigures | None = None
        with mlflow_errors(store.tracking_uri):
            self._experiment_id = study_experiment(self._client, store, folder)
        self._search_run_id = open_search_run(self._client, store, folder, self._experiment_id)
        with mlflow_errors(store.tracking_uri):
            nested = f"tags.`{PARENT_TAG}` = '{self._search_run_id}' and tags.`{ROLE_TAG}`"
            self._runs = {
                role: _by_trial(find_runs(self._client, self._experiment_id, f"{nested} = '{role}'"))
                for role in (TRIAL, FINAL)
            }

    def log(self, number: int, folds: int = 0) -> RunIds:
        """Write the run of a finished trial or of a finalist, unless MLflow has it, and return its ids.

        Args:
            number: The trial's number.
            folds: The folds of the final that it is a finalist of; 0: the run is the trial's own.
        """
        if not self._has(number, folds):
            self._runs[_role(folds)][number] = self._written(number, folds)
        return RunIds(self._experiment_id, self._search_run_id, self._runs[_role(folds)][number].run_id)

    def missing(self) -> list[tuple[int, int]]:
        """Return the trials and finalists whose runs MLflow does not have, as `log` takes them."""
        record = self._folder.final()
        finalists = [] if record is None else [(number, record.folds) for number in record.finalists]
        wanted = [(number, 0) for number in self._folder.numbers()] + finalists
        return [(number, folds) for number, folds in wanted if not self._has(number, folds)]

    def log_missing(self) -> None:
        """Write the runs of all finished trials, and of the finalists, that MLflow does not have."""
        for number, folds in self.missing():
            self.log(number, folds)

    def compare(self, written_as: FigureFormat = "png") -> None:
        """Bring the comparison of all trials to the search's run.

        Args:
            written_as: What its figures are written as.
        """
        compare_trials(self._client, self._search_run_id, self._folder, self.figures, self._seconds, written_as)

    def log_report(self) -> None:
        """Bring the report to the search's run."""
        log_report(self._client, self._search_run_id, self._folder)

    def finish(self, status: str) -> None:
        """Terminate the search's run with a status of MLflow."""
        with mlflow_errors(self._store.tracking_uri):
            self._client.set_terminated(self._search_run_id, status)

    def _trial_figures(self) -> TrialFigures:
        if self.figures is None:
            from search.reports.comparison import trial_figures

            self.figures = trial_figures(self._folder, self._data)
        return self.figures

    def _has(self, number: int, folds: int) -> bool:
        run = self._runs[_role(folds)].get(number)
        return run is not None and run.finished

    def _written(self, number: int, folds: int) -> LoggedRun:
        role = _role(folds)
        content = self._content(number, folds)
        if content is None:
            raise StoreError(
                f"the result of {model_title(number, folds)} of study {self._folder.name} was damaged and is set "
                "aside: run the same search again, which trains it again"
            )
        with temporary_folder() as local:
            started = time.perf_counter()
            content.draw(local)
            drawn = time.perf_counter()
            with mlflow_errors(self._store.tracking_uri):
                begun = self._runs[role].get(number) or self._create(role, number, content)
                run = self._write(begun, content, local)
            self._seconds["figures"] += drawn - started
            self._seconds["tracking"] += time.perf_counter() - drawn
        return run

    def _content(self, number: int, folds: int) -> RunContent | None:
        shape = self._data.sample.shape
        if folds:
            finalist = self._folder.load_finalist(number, folds)
            return None if finalist is None else final_content(finalist, self._folder, shape, self._trial_figures)
        result = self._folder.load(number)
        return None if result is None else trial_content(result, self._folder, shape, self._trial_figures)

    def _create(self, role: str, number: int, content: RunContent) -> LoggedRun:
        tags = {
            ROLE_TAG: role,
            TRIAL_TAG: str(number),
            STUDY_TAG: self._folder.name,
            PARENT_TAG: self._search_run_id,
            **content.tags,
        }
        name = f"{role}-{number:04d}"
        return _logged_run(
            self._client.create_run(self._experiment_id, start_time=content.started, run_name=name, tags=tags)
        )

    def _write(self, run: LoggedRun, content: RunContent, local: Path) -> LoggedRun:
        """Bring a run to its end, whatever it has already: MLflow keeps equal metrics and files once."""
        room = _METRICS_A_BATCH - len(content.params)  # the limit counts both
        self._client.log_batch(run.run_id, metrics=content.metrics[:room], params=content.params)
        for start in range(room, len(content.metrics), _METRICS_A_BATCH):
            self._client.log_batch(run.run_id, metrics=content.metrics[start : start + _METRICS_A_BATCH])
        artifact_repository(run.artifact_uri, self._store.tracking_uri).log_artifacts(str(local))
        self._client.set_terminated(run.run_id, content.status, content.ended)
        return replace(run, finished=True)


def _role(folds: int) -> str:
    return FINAL if folds else TRIAL


def _by_trial(found: Iterable[Run]) -> dict[int, LoggedRun]:
    """Index runs by trial, the first run of each. A run whose trial a person has edited is left alone."""
    runs: dict[int, LoggedRun] = {}
    for run in found:
        number = run.data.tags.get(TRIAL_TAG, "")
        if re.fullmatch("[0-9]{1,9}", number):
            runs.setdefault(int(number), _logged_run(run))
    return runs


def _logged_run(run: Run) -> LoggedRun:
    finished = run.info.status in _ENDED or run.info.lifecycle_stage == "deleted"
    return LoggedRun(str(run.info.run_id), str(run.info.artifact_uri), finished)
