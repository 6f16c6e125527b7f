"""The worker that writes the runs of finished trials to MLflow while the search goes on, and those that help it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, TypeVar

from insects.errors import StoreError
from search.reports.descriptions import FigureFormat
from search.store.store import Store
from search.system.lock import LockHeldError, hold
from search.tracking.client import configure_mlflow, mlflow_client, mlflow_errors, with_retries
from search.tracking.trial_runs import RunIds, TrialRunLogger

RETRY_SECONDS = 15.0
LOCK_SECONDS = 60.0
HELPERS_LOCK = "upload-helpers.lock"
"""Held by each process that may write runs beside the worker that holds the study's lock."""
_LOCK = "upload.lock"

_Result = TypeVar("_Result")


class RunsWorker:
    """Uploads one study at a time. While MLflow does not answer, it tries again every `RETRY_SECONDS`.

    Args:
        store: The folder of the store.
        tracking_uri: The tracking URI.
    """

    def __init__(self, store: str, tracking_uri: str) -> None:
        self._store = Store(Path(store), tracking_uri)
        self._study = ""
        self._lock: IO[str] | None = None
        self._logger: TrialRunLogger | None = None
        self._away_until = -math.inf
        self._seconds: dict[str, float] = {}
        self._helps = False

    def warm_up(self) -> None:
        """Import the libraries and create the database, while the search still reads its data."""
        import optuna.importance  # noqa: F401 - imported for later use, as is the next module

        import insects.plots  # noqa: F401

        self._connect()

    def open(self, study: str) -> None:
        """Choose the study, and wait for another process that uploads it.

        Raises:
            LockHeldError: The other process takes longer than `LOCK_SECONDS`.
        """
        self.close()
        self._seconds = {"figures": 0.0, "tracking": 0.0}
        self._study, self._away_until = study, -math.inf
        self._lock = self._locked(LOCK_SECONDS)

    def help(self, study: str) -> None:
        """Choose a study that another worker has opened, and write runs beside it.

        The process of this worker holds `HELPERS_LOCK` for as long as it runs.
        """
        self._seconds = {"figures": 0.0, "tracking": 0.0}
        self._study, self._helps = study, True

    def log_run(self, number: int, folds: int) -> RunIds | None:
        """Write the run of a finished trial or of a finalist, if MLflow has answered lately.

        Args:
            number: The trial.
            folds: The folds of the final that it is a finalist of; 0: the run is the trial's own.
        """
        if time.monotonic() < self._away_until:
            return None
        try:
            return self._try(lambda logger: logger.log(number, folds))
        except StoreError:  # two stores that create one experiment at once: one of them is refused
            return self._try(lambda logger: logger.log(number, folds))

    def run_ids(self, number: int, folds: int, anew: bool = False) -> RunIds:
        """Write a run as `log_run` does, but insist on an answer of MLflow.

        Args:
            number: The trial.
            folds: As of `log_run`.
            anew: Whether another worker may have begun the run.
        """
        if anew:
            self.forget()
        return self._insist(lambda logger: logger.log(number, folds))

    def missing(self) -> list[tuple[int, int]]:
        """Return the trials and finalists whose runs MLflow does not have, as `log_run` takes them."""
        return self._insist(lambda logger: logger.missing())

    def log_missing(self) -> None:
        """Write the runs that MLflow does not have."""
        self._insist(lambda logger: logger.log_missing())

    def forget(self) -> None:
        """Read from MLflow again what it has: other workers have written there."""
        self._logger = None

    def seconds(self) -> dict[str, float]:
        """Return the seconds spent on `figures` and `tracking` so far."""
        return self._seconds

    def compare(self, figures: FigureFormat = "png") -> None:
        """Bring the comparison of all trials to the search's run.

        Args:
            figures: What its figures are written as.
        """
        self._insist(lambda logger: logger.compare(figures))

    def write_report(self, version: str | None) -> None:
        """Write the report of the study, for which MLflow need not answer.

        Args:
            version: The version of the registered model; None if there is none.
        """
        from search.reports.report import write_report

        figures = None if self._logger is None else self._logger.figures
        write_report(self._store.study(self._study), self._store.shown_uri, version, figures)

    def log_report(self) -> None:
        """Bring the report to the search's run."""
        self._insist(lambda logger: logger.log_report())

    def finish(self, status: str) -> None:
        """Terminate the search's run with a status of MLflow."""
        self._insist(lambda logger: logger.finish(status))

    def close(self) -> None:
        """Let another process upload the study."""
        if self._lock is not None:
            self._lock.close()
        self._lock = self._logger = None

    def _locked(self, wait: float = 0.0) -> IO[str]:
        """Take the study's lock, once no process of a search that was killed can write runs any more."""
        path = self._store.study(self._study).path
        lock = hold(path / _LOCK, wait)
        try:
            hold(path / HELPERS_LOCK, wait).close()
        except StoreError:
            lock.close()
            raise
        return lock

    def _connect(self) -> None:
        configure_mlflow(self._store)
        with mlflow_errors(self._store.tracking_uri):
            mlflow_client(self._store).search_experiments(max_results=1)

    def _insist(self, action: Callable[[TrialRunLogger], _Result]) -> _Result:
        return with_retries(lambda: self._try(action))

    def _try(self, action: Callable[[TrialRunLogger], _Result]) -> _Result:
        folder = self._store.study(self._study)
        try:
            if not self._helps:
                self._lock = self._lock or self._locked()  # its holder may have ended meanwhile
            if self._logger is None:
                configure_mlflow(self._store)
                self._logger = TrialRunLogger(self._store, folder, self._seconds)
            result = action(self._logger)
        except LockHeldError as error:
            raise StoreError(
                f"{error.holder} is uploading study {self._study} to MLflow: try again when it has ended"
            ) from error
        except StoreError:
            self._logger = None  # what it remembers of MLflow may be wrong: an answer may have been lost
            self._away_until = time.monotonic() + RETRY_SECONDS
            raise
        self._away_until = -math.inf
        return result
