"""Kills the process at a named instant: put this folder on PYTHONPATH and set FAULT.

FAULT is `module:function:before|after:count`, for example `search.study.journal:OptunaJournal.add:after:3`. When that
function is entered, or left, for the count-th time in a process, the search and all its processes die as in a power
cut. The process writes the file FAULT_SEEN first, so that a test can tell that the instant was reached.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

MODULE, FUNCTION, WHEN, COUNT = os.environ.get("FAULT", ":::0").split(":")


def die() -> None:
    """As by SIGKILL to the whole program."""
    Path(os.environ["FAULT_SEEN"]).write_text(str(os.getpid()))
    main = os.getppid() if "search.upload.worker_process" in sys.orig_argv else os.getpid()
    tasks = Path(f"/proc/{main}/task").glob("*/children")
    workers = {int(child) for children in tasks for child in children.read_text().split()}
    for pid in (*(workers - {os.getpid()}), main, os.getpid()):
        os.kill(pid, signal.SIGKILL)


def plant(module: ModuleType) -> None:
    """Wrap the function so that its count-th call is the last thing that happens."""
    *path, name = FUNCTION.split(".")
    owner = functools.reduce(getattr, path, module)
    function, calls = getattr(owner, name), 0

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        last = calls == int(COUNT)
        if last and WHEN == "before":
            die()
        result = function(*args, **kwargs)
        if last:
            die()
        return result

    setattr(owner, name, wrapped)


class _Planter(importlib.abc.MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_plant(module: ModuleType) -> None:
            execute(module)
            plant(module)

        spec.loader.exec_module = execute_and_plant  # type: ignore[method-assign]
        return spec


if MODULE:
    sys.meta_path.insert(0, _Planter())
