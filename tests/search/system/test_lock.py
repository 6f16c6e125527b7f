"""One process at a time, with no lock left behind."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
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


def test_second_holder_is_refused_with_the_firsts_line(tmp_path: Path) -> None:
    with hold(tmp_path / "lock"):
        with pytest.raises(LockHeldError) as caught:
            hold(tmp_path / "lock")
        assert HOLDER.fullmatch(caught.value.holder)
        assert str(tmp_path / "lock") in str(caught.value)
    hold(tmp_path / "lock").close()


def test_holder_that_has_not_said_who_it_is_is_another_process(tmp_path: Path) -> None:
    with hold(tmp_path / "lock"):
        (tmp_path / "lock").write_text("")
        with pytest.raises(LockHeldError) as caught:
            hold(tmp_path / "lock")
    assert caught.value.holder == "another process"


def test_holder_says_who_it_is_and_nothing_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("process 1234567 on another machine since a long, long time ago, says its line")
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


def test_lock_in_a_folder_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot open .*none/lock: No such file or directory; choose another --store"):
        hold(tmp_path / "none" / "lock")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_an_error_that_says_so(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)  # the kernel's own file systems have locks: this is what others answer
    message = rf"cannot lock .*/lock: {os.strerror(number)}; choose a --store on a file system that has locks"
    with pytest.raises(StoreError, match=message):
        hold(tmp_path / "lock", wait=60)
