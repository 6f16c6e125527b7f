"""The runs that wait to be written to MLflow, and the worker processes that write them: more where many wait."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from search.tracking.trial_runs import RunIds
from search.upload.runs_worker import RunsWorker
from search.upload.worker_process import WorkerProcess, wait_for

MOST_WORKERS = 4
"""Workers that write the runs of one study. More would wait for one another: SQLite takes one writer at a time."""

WORTH_A_WORKER = 20.0
"""Seconds that the waiting runs take for which another worker is started, which imports libraries for some seconds."""

Run = tuple[int, int]
"""The number of a trial, and the folds of its final; 0 folds: the run is the trial's own."""


class RunQueue:
    """Hands runs to workers, one at a time to each, in the order in which they were added.

    Args:
        first: The worker that opens the study.
        start_helper: Starts a worker that writes runs of the study beside the first; None: it cannot be started.

    Attributes:
        helpers: The workers that were started beside the first.
    """

    def __init__(
        self, first: WorkerProcess[RunsWorker], start_helper: Callable[[], WorkerProcess[RunsWorker] | None]
    ) -> None:
        self.helpers: list[WorkerProcess[RunsWorker]] = []
        self._start_helper = start_helper
        self._most_helpers = min(MOST_WORKERS, os.cpu_count() or 1) - 1
        self._lock = threading.RLock()  # reentrant: a call of a process that has ended fails while it is submitted
        self._idle, self._busy, self._is_handing_out = [first], 0, False
        self._waiting: deque[Run] = deque()
        self._written: dict[Run, Future[RunIds | None]] = {}
        self._warm: set[WorkerProcess[RunsWorker]] = set()
        self._timed, self._seconds = 0, 0.0

    def add(self, number: int, folds: int) -> Future[RunIds | None]:
        """Write a run in the background.

        Args:
            number: The number of the trial.
            folds: The folds of its final; 0: the run is the trial's own.

        Returns:
            A future of its ids; of None if MLflow has not answered lately, or the run was dropped.
        """
        with self._lock:
            written = self._written[number, folds] = Future()
            self._waiting.append((number, folds))
            self._hand_out()
        return written

    def first(self, number: int, folds: int) -> Future[RunIds | None] | None:
        """Let a run be the next that is written, and return its future; None: it was never added."""
        with self._lock:
            if (number, folds) in self._waiting:
                self._waiting.remove((number, folds))
                self._waiting.appendleft((number, folds))
            return self._written.get((number, folds))

    def wait(self, check: Callable[[], None]) -> None:
        """Wait until all runs are written, or could not be.

        Args:
            check: Called every `CHECK_SECONDS`; what it raises ends the wait.
        """
        for written in list(self._written.values()):
            wait_for(written, check)

    def cancel(self) -> None:
        """Drop the runs that no worker has begun."""
        with self._lock:
            while self._waiting:
                self._written[self._waiting.popleft()].set_result(None)

    def end_helpers(self) -> bool:
        """End the helpers, which must have nothing to write, and return whether there were any."""
        with self._lock:
            helpers, self.helpers = self.helpers, []
            self._idle = [worker for worker in self._idle if worker not in helpers]
        for helper in helpers:
            helper.kill()
            helper.close()
        return bool(helpers)

    @property
    def left(self) -> int:
        """How many runs are not written yet."""
        return len(self._waiting) + self._busy

    @property
    def seconds_left(self) -> float:
        """About how long they take; 0: it is not known yet."""
        return self.left * self._seconds / (1 + len(self.helpers))

    def _hand_out(self) -> None:
        if self._is_handing_out:  # a call failed while it was submitted: the loop below goes on
            return
        self._is_handing_out = True
        while self._waiting and (self._idle or self._gets_help()):
            worker, run = self._idle.pop(), self._waiting.popleft()
            self._busy += 1
            call = worker.submit(RunsWorker.log_run, *run)
            call.add_done_callback(partial(self._ended, worker, run, time.monotonic()))
        self._is_handing_out = False

    def _gets_help(self) -> bool:
        if len(self.helpers) >= self._most_helpers or self.seconds_left < WORTH_A_WORKER:
            return False
        helper = self._start_helper()
        if helper is None:
            self._most_helpers = len(self.helpers)
            return False
        self.helpers.append(helper)
        self._idle.append(helper)
        return True

    def _ended(self, worker: WorkerProcess[RunsWorker], run: Run, begun: float, call: Future[RunIds | None]) -> None:
        with self._lock:
            self._busy -= 1
            if worker in self._warm:
                self._timed += 1
                self._seconds += (time.monotonic() - begun - self._seconds) / self._timed
            self._warm.add(worker)  # its first call waits for libraries to be imported
            if worker.has_ended and worker in self.helpers:
                self._most_helpers = 0  # it was killed, most likely since memory is short
            else:
                self._idle.append(worker)
            written = self._written[run]
        error = call.exception()
        if error is not None:
            written.set_exception(error)
        else:
            written.set_result(call.result())
        with self._lock:
            self._hand_out()
