"""Locks: one holder at a time, and none left behind by a process that ended."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from insects.errors import StoreError
from search.system.lock import LockHeldError, hold

HOLDER = re.compile(r"process \d+ on \S+ since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
SCRIPT = """
import sys, time
from pathlib import Path
from search.system.lock import hold
held = hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_held_lock_is_an_error_that_names_its_holder(tmp_path: Path) -> None:
    with hold(tmp_path / "lock"):
        with pytest.raises(LockHeldError) as caught:
            hold(tmp_path / "lock")
        assert HOLDER.fullmatch(caught.value.holder)
        assert f"process {os.getpid()} on {socket.gethostname()} since " in caught.value.holder
        assert str(caught.value) == f"{tmp_path / 'lock'} is held by {caught.value.holder}"
        assert isinstance(caught.value, StoreError)
    hold(tmp_path / "lock").close()


def test_released_lock_keeps_its_file(tmp_path: Path) -> None:
    hold(tmp_path / "lock").close()
    assert HOLDER.fullmatch((tmp_path / "lock").read_text())


def test_waiting_for_a_held_lock_ends_after_the_seconds_given(tmp_path: Path) -> None:
    with hold(tmp_path / "lock"):
        started = time.monotonic()
        with pytest.raises(LockHeldError):
            hold(tmp_path / "lock", wait=0.2)
        assert time.monotonic() - started >= 0.2


def test_holder_that_has_not_written_its_name_yet_is_another_process(tmp_path: Path) -> None:
    with hold(tmp_path / "lock"):
        (tmp_path / "lock").write_text("")
        with pytest.raises(LockHeldError) as caught:
            hold(tmp_path / "lock")
    assert caught.value.holder == "another process"
    assert str(caught.value) == f"{tmp_path / 'lock'} is held by another process"


def test_name_of_the_holder_replaces_that_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("process 1234567 on another machine since a long, long time ago, says its name")
    with hold(tmp_path / "lock"), pytest.raises(LockHeldError) as caught:
        hold(tmp_path / "lock")
    assert HOLDER.fullmatch(caught.value.holder)


def test_lock_of_a_killed_process_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(LockHeldError, match=f"process {process.pid} "):
            hold(path)
        process.kill()
        process.wait()
        hold(path).close()


def test_waiting_for_a_lock_ends_when_it_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.terminate()
        hold(path, wait=60).close()


def test_lock_in_an_absent_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot open .*none/lock: No such file or directory; choose another --store"):
        hold(tmp_path / "none" / "lock")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_an_error_that_says_so(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)  # as file systems of networks answer
    message = rf"cannot lock .*/lock: {os.strerror(number)}; choose a --store on a file system that has locks"
    with pytest.raises(StoreError, match=message):
        hold(tmp_path / "lock", wait=60)
