"""Uploads to MLflow during a search and at its end: the worker processes, one study, errors that do not end it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import Any

from insects.errors import InsectsError, StoreError
from insects.final import FoldResult
from insects.text import counted
from insects.trial import TrialResult
from search.registry.alias import RegisteredModel
from search.reports.descriptions import FigureFormat
from search.store.store import Store
from search.store.study_folder import StudyFolder, UploadRecord
from search.study.config import study_digest
from search.study.final import finalists_in
from search.study.winner import Winner
from search.system.lock import hold
from search.system.signals import Interrupted
from search.system.terminal import UploadProgress, duration, say
from search.tracking.database import takes_seconds
from search.tracking.trial_runs import RunIds
from search.upload.model_worker import ModelWorker
from search.upload.run_queue import RunQueue
from search.upload.runs_worker import HELPERS_LOCK, RunsWorker
from search.upload.storage_worker import StorageWorker
from search.upload.worker_process import WorkerProcess, result_of, wait_for

INTERRUPT_SECONDS = 3.0
_NO_TIME = "there was no time to upload all results to MLflow"


class UploadWorkers:
    """The worker processes of a store, which import their libraries from the start.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self.shown_uri = store.shown_uri
        self._place = str(store.path), store.tracking_uri
        self.closing = False
        self.creates_database = takes_seconds(store.database)
        self.runs = WorkerProcess(RunsWorker, *self._place)
        self.models = WorkerProcess(ModelWorker, *self._place)
        self._helpers: list[WorkerProcess[RunsWorker]] = []
        self.warming = [self.runs.submit(RunsWorker.warm_up)]
        self.storage: WorkerProcess[StorageWorker] | None = None
        if store.storage is not None:
            self.storage = WorkerProcess(StorageWorker, *self._place, store.storage)
            self.warming.append(self.storage.submit(StorageWorker.warm_up))

    def start_helper(self, folder: StudyFolder) -> WorkerProcess[RunsWorker] | None:
        """Start another process that writes runs of a study; None: there is no room for it, or all are about to end."""
        try:
            with hold(folder.path / HELPERS_LOCK, shared=True) as lock:
                helper = WorkerProcess(RunsWorker, *self._place, keeps_open=lock)
        except StoreError:  # the other process does without
            return None
        self._helpers.append(helper)
        if self.closing:
            helper.kill()
        helper.submit(RunsWorker.help, folder.name)
        return helper

    def kill(self) -> None:
        """End all processes at once, from within a signal handler too."""
        for process in self._processes:
            process.kill()

    def close(self) -> None:
        """End all processes at once: to unload their libraries would take a second each."""
        self.closing = True
        self.kill()
        for process in self._processes:
            process.close()

    @property
    def _processes(self) -> list[WorkerProcess[Any]]:
        processes: list[WorkerProcess[Any]] = [self.runs, self.models, *self._helpers]
        return processes if self.storage is None else [*processes, self.storage]


@contextmanager
def upload_workers(store: Store) -> Iterator[UploadWorkers]:
    """Start the worker processes of a store, and end them after the block."""
    workers = UploadWorkers(store)
    try:
        yield workers
    finally:
        workers.close()


class Uploader:
    """Uploads one study.

    Args:
        workers: The worker processes.
        folder: The study.
        figures: What the figures of the comparison are written as.

    Attributes:
        upload_error: The first error that kept MLflow from being up to date; empty if there was none.
        seconds: What `figures` and `tracking` took in the background.
    """

    def __init__(self, workers: UploadWorkers, folder: StudyFolder, figures: FigureFormat = "png") -> None:
        self._workers, self._folder, self._figures = workers, folder, figures
        self.upload_error = ""
        self.seconds = {"figures": 0.0, "tracking": 0.0}
        self._has_warned = False
        self._baselines: Future[None] | None = None
        if workers.creates_database:
            say("Creating MLflow's database in the background: some seconds, once a machine")
            workers.creates_database = False
        self._opened = workers.runs.submit(RunsWorker.open, folder.name)
        self._submitted: list[Future[Any]] = [*workers.warming, self._opened]
        self._runs = RunQueue(workers.runs, lambda: workers.start_helper(folder))
        self._steps: dict[str, Future[Any]] = {}  # what else is to be done, in words

    def wait_until_open(self) -> None:
        """Wait for another process that uploads the study; if that was in vain, `finish` reports it."""
        wait([self._opened])

    def expect_model(self) -> None:
        """Prepare the export of a new best model."""
        self._submitted.append(self._workers.models.submit(ModelWorker.warm_up))

    def score_baselines(self) -> None:
        """Score baselines on the study's folds in the background."""
        self._baselines = self._workers.models.submit(ModelWorker.score_baselines, self._folder.name)
        self._submitted.append(self._baselines)
        self._steps["scoring baselines"] = self._baselines

    def trained(self, result: TrialResult) -> None:
        """Upload a finished trial in the background; see `search.study.loop.TrialListener`."""
        self._add_run(result.number, 0)

    def fold_trained(self, result: FoldResult, left: int) -> None:
        """Do nothing: the run of a finalist has all its networks; see `search.study.final.FinalListener`."""

    def finalist_trained(self, number: int, folds: int) -> None:
        """Upload a finalist in the background; see `search.study.final.FinalListener`."""
        self._add_run(number, folds)

    def _add_run(self, number: int, folds: int) -> None:
        written = self._runs.add(number, folds)
        self._submitted.append(written)
        written.add_done_callback(self._warn)

    def known(self, result: TrialResult) -> None:
        """Do nothing: `finish` uploads trials of earlier runs; see `search.study.loop.TrialListener`."""

    def backlog(self) -> str:
        """Return in words what is left: runs with an estimate of their time, and the other steps; empty: nothing."""
        left, seconds, parts = self._runs.left, self._runs.seconds_left, []
        if left:
            estimate = f", about {duration(seconds)}" if seconds else ""
            parts.append(f"uploading {counted(left, 'run')}{estimate}")
        # A copy: this is read by the thread of the display, and steps are added by another.
        parts += [name for name, step in list(self._steps.items()) if not step.done()]
        return "; ".join(parts)

    def finish(
        self,
        winner: Winner | None,
        model_name: str,
        check: Callable[[], None],
        *,
        recompare: bool = True,
        interrupted: bool = False,
    ) -> RegisteredModel | None:
        """Upload all that is left and register the winner's model, and show what is left meanwhile.

        Args:
            winner: What the model is made of.
            model_name: The registered model.
            check: Called every `CHECK_SECONDS`; what it raises ends the wait.
            recompare: Whether a version that was compared with the alias's holder before is compared again.
            interrupted: Whether the search was: nothing is waited for that the model does not need.

        Returns:
            The registered version; None if there is no winner, a person has deleted its version, or MLflow does
            not answer, which `upload_error` says.
        """
        with UploadProgress(self.backlog):
            registered = self._finish(winner, model_name, check, recompare, interrupted)
        if not self.upload_error:
            self._raise_bugs()
            trials = study_digest(self._folder.results_without_weights(), finalists_in(self._folder))
            version = None if registered is None else registered.version
            uploaded = UploadRecord(self._workers.shown_uri, trials, model_name, version, self._figures)
            self._folder.save_upload_record(uploaded)
        return registered

    def _finish(
        self, winner: Winner | None, model_name: str, check: Callable[[], None], recompare: bool, interrupted: bool
    ) -> RegisteredModel | None:
        runs_worker, registering, registered = self._workers.runs, None, None
        try:
            with self._noting_error():
                wait_for(self._opened, check)
                # The winner first: while one worker exports its model, the others upload and compare the rest.
                if winner is not None:
                    ids = [*dataclasses.asdict(self._run_of(winner, check)).values()]
                    submit = self._workers.models.submit_next if interrupted else self._workers.models.submit
                    arguments = (self._folder.name, winner.number, winner.folds, ids, model_name, recompare)
                    registering = self._steps["registering the model"] = submit(ModelWorker.register, *arguments)
                self._write_missing(check)
                comparing = self._steps["comparing trials"] = runs_worker.submit(RunsWorker.compare, self._figures)
                result_of(comparing, check)
        finally:
            is_uploaded = not self.upload_error
            if registering is not None:
                with self._noting_error():  # an error of the registry must not keep the rest from MLflow
                    registered = result_of(registering, check)
        with self._noting_error():
            if self._baselines is not None and not interrupted:
                result_of(self._baselines, check)
        with self._noting_error():
            version = None if registered is None else registered.version
            result_of(runs_worker.submit(RunsWorker.write_report, version), check)
            if is_uploaded:
                result_of(runs_worker.submit(RunsWorker.log_report), check)
                result_of(runs_worker.submit(RunsWorker.finish, "KILLED" if interrupted else "FINISHED"), check)
                self._count_seconds(runs_worker, check)
        return registered

    def fail(self, check: Callable[[], None]) -> None:
        """Upload all that is left of a search that ends with an error, unless it is interrupted meanwhile."""
        with self._noting_error():
            try:
                self._write_missing(check)
                result_of(self._workers.runs.submit(RunsWorker.finish, "FAILED"), check)
            except Interrupted:
                self.upload_error = _NO_TIME

    def interrupt(self) -> None:
        """Upload what can be uploaded in `INTERRUPT_SECONDS`; the next search uploads the rest."""
        until = time.monotonic() + INTERRUPT_SECONDS

        def check() -> None:
            if time.monotonic() > until:
                raise TimeoutError

        self._runs.cancel()
        with self._noting_error():
            try:
                self._end_helpers(check)
                result_of(self._workers.runs.submit(RunsWorker.log_missing), check)
                result_of(self._workers.runs.submit(RunsWorker.finish, "KILLED"), check)
            except TimeoutError:
                self.upload_error = _NO_TIME

    def _run_of(self, winner: Winner, check: Callable[[], None]) -> RunIds:
        """Return the ids of the winner's run, which is written before all others that wait."""
        written = self._runs.first(winner.number, winner.folds)
        if written is not None:
            wait_for(written, check)
            if written.exception() is None and (ids := written.result()) is not None:
                return ids
        anew = bool(self._runs.helpers)  # one of them may have begun it
        return result_of(self._workers.runs.submit_next(RunsWorker.run_ids, winner.number, winner.folds, anew), check)

    def _write_missing(self, check: Callable[[], None]) -> None:
        """Write all runs that MLflow does not have: those that wait, and those that it was away for."""
        self._end_helpers(check)
        for number, folds in result_of(self._workers.runs.submit(RunsWorker.missing), check):
            self._submitted.append(self._runs.add(number, folds))
        self._end_helpers(check)
        result_of(self._workers.runs.submit(RunsWorker.log_missing), check)

    def _end_helpers(self, check: Callable[[], None]) -> None:
        """Wait for the runs that were added, and end the workers that helped."""
        self._runs.wait(check)
        for helper in self._runs.helpers:
            with contextlib.suppress(InsectsError):  # it was killed
                self._count_seconds(helper, check)
        if self._runs.end_helpers():
            self._workers.runs.submit(RunsWorker.forget)

    def _count_seconds(self, worker: WorkerProcess[RunsWorker], check: Callable[[], None]) -> None:
        for part, seconds in result_of(worker.submit(RunsWorker.seconds), check).items():
            self.seconds[part] += seconds

    def _warn(self, logged: Future[Any]) -> None:
        """Report once, while it can still be mended, that trials do not get to MLflow."""
        error = logged.exception()
        if isinstance(error, InsectsError) and not (self._has_warned or self._workers.closing):
            self._has_warned = True
            say(f"Trials cannot be uploaded to MLflow for now, the search goes on: {error}", is_error=True)

    @contextmanager
    def _noting_error(self) -> Iterator[None]:
        try:
            yield
        except InsectsError as error:
            self.upload_error = self.upload_error or str(error)

    def _raise_bugs(self) -> None:
        """All is uploaded now, so an MLflow that was away meanwhile does not matter; a bug does."""
        for future in self._submitted:
            error = future.exception() if future.done() else None  # not all is waited for after an interrupt
            if error is not None and not isinstance(error, InsectsError):
                raise error
