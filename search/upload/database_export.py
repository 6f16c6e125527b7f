"""The export of a search's trials to a database, in the background: errors do not end the search."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress

from insects.errors import InsectsError, StudyError
from insects.trial import TrialResult
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.system.terminal import say
from search.upload.storage_worker import StorageWorker
from search.upload.worker_process import WorkerProcess, result_of

INTERRUPT_SECONDS = 3.0


class DatabaseExport:
    """Writes the trials of one study to the store's database.

    Args:
        worker: The worker process.
        store: The store.
        folder: The study.
        check: Called while this waits for the database; what it raises ends the wait.

    Attributes:
        error: What keeps the database from being complete; empty if nothing does.

    Raises:
        StudyError: Another coordinator searches the study.
    """

    def __init__(
        self, worker: WorkerProcess[StorageWorker], store: Store, folder: StudyFolder, check: Callable[[], None]
    ) -> None:
        self._worker, self._shown = worker, store.shown_storage
        self.error, self._has_warned = "", False
        try:
            other = result_of(worker.submit(StorageWorker.open, folder.name), check)
        except InsectsError as error:
            self._warn(error)
        else:
            if other:
                raise StudyError(other)

    def add(self, result: TrialResult) -> None:
        """Write a trial that was told, and those before it that are missing; see `search.study.loop.TrialExport`."""
        self._worker.submit(StorageWorker.add, result.number).add_done_callback(self._look)

    def finish(self, check: Callable[[], None]) -> None:
        """Write all that is missing and free the study for other coordinators."""
        try:
            result_of(self._worker.submit(StorageWorker.add_missing), check)
        except InsectsError as error:
            self.error = str(error)
        with suppress(InsectsError):  # the lease expires by itself
            result_of(self._worker.submit(StorageWorker.close), check)

    def interrupt(self) -> None:
        """Free the study for other coordinators, if the database answers within `INTERRUPT_SECONDS`."""
        self._has_warned = True  # the process is about to end, with trials that it has not written
        with suppress(InsectsError, FutureTimeout):  # the lease expires by itself
            self._worker.submit_next(StorageWorker.close).result(INTERRUPT_SECONDS)

    def _look(self, added: Future[None]) -> None:
        error = added.exception()
        if isinstance(error, InsectsError):
            self._warn(error)

    def _warn(self, error: InsectsError) -> None:
        """Report once that trials do not get to the database."""
        if not self._has_warned:
            self._has_warned = True
            say(f"Trials cannot be written to the database for now, the search goes on: {error}")
