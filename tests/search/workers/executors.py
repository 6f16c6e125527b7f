"""Executors that the tests name by `MODULE:FUNCTION`."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any


def processes() -> Executor:
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


class Bare:
    """Nothing but `submit` and `shutdown`, which take no options."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(2)

    def submit(self, function: Any, *arguments: Any) -> Future[Any]:
        return self._threads.submit(function, *arguments)

    def shutdown(self, wait: bool = True) -> None:
        self._threads.shutdown(wait)


def bare() -> Bare:
    return Bare()


def nothing() -> int:
    return 3
