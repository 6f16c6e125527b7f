"""Training in threads of this process: the compiled kernel releases the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from insects import memory
from insects.tasks import StudyRows, run_task
from insects.training import Progress
from search.system.signals import StopFlag
from search.workers.in_flight import InFlight, TrainingsInFlight
from search.workers.protocol import MemoryCheck


class ThreadWorkers:
    """See `search.workers.protocol.Workers`.

    Args:
        wanted: Trials side by side, fewer where memory is short; None: one a core.
        stop: Set by a signal, polled by training.

    Attributes:
        ready: Called in each thread before its first training: waits for the engine, so that no training takes the time
            that loading needs.
    """

    def __init__(self, wanted: int | None, stop: StopFlag) -> None:
        self.count = wanted or os.cpu_count() or 1
        self.watched = TrainingsInFlight()
        self.ready: Callable[[], object] = _nothing_to_load
        self._stop = stop
        self._executor: ThreadPoolExecutor | None = None

    def open(self, rows: StudyRows, check: MemoryCheck, folder: Path) -> None:
        """Start the threads."""
        self.count = check(memory.available(), self.count)
        self._rows = rows
        self._executor = ThreadPoolExecutor(self.count, "trial", initializer=lambda: self.ready())

    def submit(self, task: Any) -> Future[Any]:
        """Train a task after those that were submitted before."""
        assert self._executor is not None, "open() comes first"
        training = InFlight.of_task(task, is_followed=True)

        def train() -> Any:
            self.watched.note_beginning()
            training.progress = Progress(training.trial.recipe.epochs, self._rows.count_of(task))
            return run_task(task, self._rows, self._stop.array, training.progress)

        future = self._executor.submit(train)
        self.watched.add(training, future)
        return future

    def interrupt(self) -> None:
        """End every training within a step of it."""
        self._stop.array[0] = 1

    def close(self) -> None:
        """Wait for the threads to end."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)


def _nothing_to_load() -> None:
    """Wait for no engine."""
