"""A worker for the tests of `WorkerProcess`, in a module that another process imports cheaply."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from insects.errors import StoreError


@dataclass(frozen=True)
class Named:
    """A result that JSON alone cannot hold."""

    first: str
    last: str


class SampleWorker:
    """Methods for each kind of result, error and end."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        if "broken" in arguments:
            raise ValueError("the constructor failed")

    def arguments(self) -> list[str]:
        return list(self._arguments)

    def add(self, a: int, b: int) -> int:
        return a + b

    def joined(self, a: str, b: str) -> str:
        return a + b

    def named(self, first: str, last: str) -> Named:
        return Named(first, last)

    def named_if(self, found: bool) -> Named | None:
        return Named("Ada", "Lovelace") if found else None

    def nothing(self) -> None:
        pass

    def print_everywhere(self) -> str:
        print("from python")
        os.write(1, b"from C\n")
        subprocess.run(["echo", "from a child"], check=True)
        return "printed"

    def refuse(self) -> None:
        raise StoreError("no room: make some")

    def look_up(self, key: str) -> str:
        return {"known": "value"}[key]

    def a_set(self) -> set[int]:
        return {1, 2}

    def garble(self) -> None:
        sys._getframe(1).f_locals["answers"].write("no JSON\n")

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def exit(self, last_words: str) -> NoReturn:
        os.write(2, last_words.encode("latin-1"))
        os._exit(7)

    def pid(self) -> int:
        return os.getpid()

    def command_line(self) -> list[str]:
        return Path("/proc/self/cmdline").read_text().split("\0")

    def threads(self) -> list[str]:
        return [os.environ["OPENBLAS_NUM_THREADS"], os.environ["OMP_NUM_THREADS"]]

    def ignored_signals(self) -> list[str]:
        return [number.name for number in signal.Signals if signal.getsignal(number) is signal.SIG_IGN]
