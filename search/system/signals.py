"""Ctrl-C and SIGTERM: the first asks the search to stop at its next safe point, a second one ends it at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np
from numpy.typing import NDArray


class Interrupted(Exception):
    """A signal asked the search to stop. exit_code: 128 and the signal's number."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


class StopFlag:
    """What the signal handlers set.

    array: `(1,)` uint8, which training polls; a search that fails sets it too, to stop training. came: whether a signal
    did. polled: whether somebody looks at it; until then, while there is nothing to lose yet, the handler raises
    `Interrupted` by itself.
    """

    def __init__(self) -> None:
        self.array: NDArray[np.uint8] = np.zeros(1, np.uint8)
        self.came = False
        self.polled = False
        self.signal_number = signal.SIGINT

    def set(self, number: signal.Signals) -> None:
        """A signal came: stop at the next safe point."""
        self.signal_number = number
        self.came = True
        self.array[0] = 1

    def check(self) -> None:
        """Raises: Interrupted: a signal came."""
        if self.came:
            raise Interrupted(self.signal_number)


@contextmanager
def handled(flag: StopFlag, on_second: Callable[[], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM raise `flag`; at the second one run `on_second` and leave the process.

    on_second: runs in a signal handler, whatever the process was doing: it must take no lock.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if flag.came:
            for each in before:  # a third one would run this within itself
                signal.signal(each, signal.SIG_IGN)
            on_second()
            os._exit(128 + number)
        flag.set(signal.Signals(number))
        if not flag.polled:
            flag.check()

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, handle)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
