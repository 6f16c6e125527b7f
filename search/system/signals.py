"""Ctrl-C and SIGTERM: the first asks the search to stop at its next safe point, the second ends it at once.

In a program of somebody else, which calls the search as a function, the second Ctrl-C raises `KeyboardInterrupt`.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np
from numpy.typing import NDArray

from search.system.terminal import restore_cursor


class Interrupted(Exception):
    """A signal asked the search to stop.

    Attributes:
        exit_code: 128 plus the signal's number.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


class StopFlag:
    """The flag that the signal handlers set and that training polls.

    Attributes:
        array: `(1,)` uint8, polled by training. A search that fails sets it too, to stop its training.
        signalled: Whether a signal came.
        polled: Whether the search polls the flag. Until then the handler raises `Interrupted` itself.
    """

    def __init__(self) -> None:
        self.array: NDArray[np.uint8] = np.zeros(1, np.uint8)
        self.signalled = False
        self.polled = False
        self.signal_number = signal.SIGINT

    def set(self, number: signal.Signals) -> None:
        """Record a signal."""
        self.signal_number = number
        self.signalled = True
        self.array[0] = 1

    @property
    def ctrl_c(self) -> bool:
        """Whether the signal is that of Ctrl-C."""
        return self.signalled and self.signal_number == signal.SIGINT

    def check(self) -> None:
        """Raise `Interrupted` if a signal came."""
        if self.signalled:
            raise Interrupted(self.signal_number)


@contextmanager
def handled_signals(flag: StopFlag, on_second: Callable[[], None], *, owns_process: bool = True) -> Iterator[None]:
    """Let SIGINT and SIGTERM set `flag`; the second signal calls `on_second` and ends the process.

    Args:
        flag: The flag that is set.
        on_second: Runs in a signal handler, at any instant of the process, so it must take no lock.
        owns_process: False: the process is the caller's. SIGTERM is left to it, and the second SIGINT raises
            `KeyboardInterrupt`. Outside the main thread, which alone hears of signals, both are left to it.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if flag.signalled:
            for each in previous:  # a third signal would run this handler inside itself
                signal.signal(each, signal.SIG_IGN)
            on_second()
            restore_cursor()
            if not owns_process:
                raise KeyboardInterrupt
            os._exit(128 + number)
        flag.set(signal.Signals(number))
        if not flag.polled:
            flag.check()

    handled = [signal.SIGINT, signal.SIGTERM] if owns_process else [signal.SIGINT]
    if not owns_process and threading.current_thread() is not threading.main_thread():
        handled = []
    previous = {number: signal.getsignal(number) for number in handled}
    try:
        for number in previous:
            signal.signal(number, handle)
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
