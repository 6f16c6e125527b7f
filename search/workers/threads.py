"""Training in threads of this process: the compiled kernel releases the interpreter's lock."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from insects import memory
from insects.tasks import StudyRows, run_task
from search.system.signals import StopFlag
from search.workers.protocol import MemoryCheck


class ThreadWorkers:
    """See `search.workers.protocol.Workers`.

    Args:
        wanted: Trials side by side, fewer where memory is short; None: one a core.
        stop: Set by a signal, polled by training.
    """

    def __init__(self, wanted: int | None, stop: StopFlag) -> None:
        self.count = wanted or os.cpu_count() or 1
        self._stop = stop
        self._executor: ThreadPoolExecutor | None = None

    def open(self, rows: StudyRows, check: MemoryCheck, folder: Path) -> None:
        """Start the threads."""
        self.count = check(memory.available(), self.count)
        self._rows, self._executor = rows, ThreadPoolExecutor(self.count, thread_name_prefix="trial")

    def submit(self, task: Any) -> Future[Any]:
        """Train a task after those that were submitted before."""
        assert self._executor is not None, "open() comes first"
        return self._executor.submit(run_task, task, self._rows, self._stop.array)

    def interrupt(self) -> None:
        """End every training within a step of it."""
        self._stop.array[0] = 1

    def close(self) -> None:
        """Wait for the threads to end."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
