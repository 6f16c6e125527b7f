"""A system that starts no further process or thread: an error of one line."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from insects.errors import StoreError
from search.cli import main
from search.system.spawn import spawn_errors
from tests.support.commands import SMALL

HINT = "end other programs or raise their limit (ulimit -u), then run the same command again"


def test_process_that_cannot_be_started_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> NoReturn:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refused)
    done = CliRunner().invoke(main.search, [*SMALL, "--store", str(tmp_path)])
    monkeypatch.undo()
    assert (done.exit_code, done.stdout) == (1, "")
    cause = "Resource temporarily unavailable"
    assert done.stderr == f"Error: cannot start a process: {cause}; {HINT}\n"


def test_thread_that_cannot_be_started_is_one_line() -> None:
    before = threading.stack_size(1 << 46)  # no address space holds it
    try:
        with pytest.raises(StoreError) as error, spawn_errors():
            threading.Thread(target=print).start()
    finally:
        threading.stack_size(before)
    assert str(error.value) == f"cannot start a thread: can't start new thread; {HINT}"


def test_other_errors_of_a_thread_pass_unchanged() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    with pytest.raises(RuntimeError, match="threads can only be started once"), spawn_errors():
        thread.start()
