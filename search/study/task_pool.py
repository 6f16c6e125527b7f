"""Trainings in flight: what has ended is stored at once, whatever ended first, and an interrupt ends them all."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from insects.errors import StoreError
from search.system.signals import StopFlag
from search.workers.protocol import Workers

# Python handles signals between two of its instructions: a signal just before the wait is handled after it.
_SIGNAL_SECONDS = 1.0

_Result = TypeVar("_Result")


@dataclass
class TaskPool(Generic[_Result]):
    """Waits for trainings, and stores their results.

    Attributes:
        workers: Train.
        stop: Set by a signal.
        store: Called with the results that have ended, in the order of submission; returns when they are on the disk.
        waited: Seconds spent waiting.
    """

    workers: Workers
    stop: StopFlag
    store: Callable[[list[_Result]], None]
    waited: float = 0.0
    _places: dict[Future[_Result], int] = field(default_factory=dict)
    _submitted: int = 0

    def add(self, training: Future[_Result]) -> None:
        """Take a training that was submitted."""
        self._places[training] = self._submitted
        self._submitted += 1

    def __len__(self) -> int:
        """Return the number of trainings that are not stored."""
        return len(self._places)

    def collect(self, block: bool) -> None:
        """Store what has ended; `block` waits for one training, or for a signal.

        Raises:
            Interrupted: A signal came.
        """
        started = time.perf_counter()
        done, _ = wait(self._places, timeout=_SIGNAL_SECONDS if block else 0, return_when=FIRST_COMPLETED)
        self.waited += time.perf_counter() - started
        self.stop.check()
        self._store(sorted(done, key=self._places.__getitem__))

    def abandon(self) -> None:
        """Stop training. What has just ended is still stored."""
        for future in self._places:
            future.cancel()
        self.workers.interrupt()
        while wait(self._places, _SIGNAL_SECONDS).not_done:
            pass
        for future in [f for f in self._places if not f.cancelled() and f.exception() is None]:
            with suppress(StoreError):  # the error that ended the search is reported; the training is done again
                self._store([future])

    def _store(self, ended: list[Future[_Result]]) -> None:
        results = []
        try:
            for future in ended:
                results.append(future.result())  # noqa: PERF401 - results before an error are stored
        finally:
            if results:
                self.store(results)
                for future in ended[: len(results)]:
                    del self._places[future]
