"""Trainings in flight: what has ended is stored at once, whatever ended first, and an interrupt ends them all."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from insects.errors import StoreError
from insects.splits import Splits
from insects.training import TrainingInterrupted
from search.system.signals import StopFlag

# Python handles signals between two of its instructions: a signal just before the wait is handled after it.
_SIGNAL_SECONDS = 1.0

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass
class TaskPool(Generic[_Task, _Result]):
    """Submits trainings to an executor, and stores their results.

    Attributes:
        executor: Runs the trainings.
        stop: Set by a signal, polled by training.
        store: Called with the results that have ended, in the order of submission; returns when they are on the disk.
        waited: Seconds spent waiting.
    """

    executor: Executor
    stop: StopFlag
    store: Callable[[list[_Result]], None]
    waited: float = 0.0
    _places: dict[Future[_Result], int] = field(default_factory=dict)
    _submitted: int = 0

    def submit(self, train: Callable[[_Task, Splits, NDArray[np.uint8]], _Result], task: _Task, splits: Splits) -> None:
        """Submit a training.

        Args:
            train: Trains; its last argument is the flag that ends training.
            task: What to train.
            splits: The rows.
        """
        self._places[self.executor.submit(train, task, splits, self.stop.array)] = self._submitted
        self._submitted += 1

    @property
    def is_empty(self) -> bool:
        """Whether everything is stored."""
        return not self._places

    def collect(self, block: bool) -> None:
        """Store what has ended; `block` waits for one training, or for a signal."""
        started = time.perf_counter()
        done, _ = wait(self._places, timeout=_SIGNAL_SECONDS if block else 0, return_when=FIRST_COMPLETED)
        self.waited += time.perf_counter() - started
        self._store(sorted(done, key=self._places.__getitem__))

    def abandon(self) -> None:
        """Stop training. What has just ended is still stored."""
        self.stop.array[0] = 1
        for future in self._places:
            future.cancel()
        while wait(self._places, _SIGNAL_SECONDS).not_done:
            pass
        self.stop.array[0] = self.stop.signalled
        for future in [f for f in self._places if not f.cancelled() and f.exception() is None]:
            with suppress(StoreError):  # the error that ended the search is reported; the training is done again
                self._store([future])

    def _store(self, ended: list[Future[_Result]]) -> None:
        results = []
        try:
            for future in ended:
                results.append(future.result())  # noqa: PERF401 - results before an error are stored
        except TrainingInterrupted:
            self.stop.check()
            raise
        finally:
            if results:
                self.store(results)
                for future in ended[: len(results)]:
                    del self._places[future]
