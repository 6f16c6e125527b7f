"""Trainings in other processes: their futures, and what ended them in words."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any


class Trainings:
    """Makes futures, and ends each of them once, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[Future[Any]] = set()

    def begin(self) -> Future[Any]:
        """Return the future of a training."""
        training: Future[Any] = Future()
        with self._lock:
            self._open.add(training)
        return training

    def is_open(self, training: Future[Any]) -> bool:
        """Tell whether a training is still wanted."""
        return training in self._open and not training.cancelled()

    def end(self, training: Future[Any], result: Any) -> None:
        """End a training.

        Args:
            training: The training; nothing happens where it has ended already.
            result: Its result, or the exception that it raises.
        """
        with self._lock:
            if training not in self._open:
                return
            self._open.discard(training)
        if not training.set_running_or_notify_cancel():
            return
        if isinstance(result, BaseException):
            training.set_exception(result)
        else:
            training.set_result(result)

    def cancel(self) -> None:
        """Cancel all that has not ended; whoever waits for it goes on."""
        with self._lock:
            trainings, self._open = self._open, set()
        for training in trainings:
            training.cancel()
            training.set_running_or_notify_cancel()


def line(error: BaseException) -> str:
    """Return an exception in one line."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
