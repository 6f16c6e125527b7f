"""One process at a time: locks that the system releases when their holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import IO

from insects.errors import StoreError


class Held(StoreError):
    """Another process holds the lock. holder: what it wrote about itself."""

    def __init__(self, path: Path, holder: str) -> None:
        self.holder = holder or "another process"  # it has not written its line yet
        super().__init__(f"{path} is held by {self.holder}")


def hold(path: Path, wait: float = 0.0) -> IO[str]:
    """Take the lock at `path`, trying for `wait` seconds; it is held until the file is closed.

    Raises: Held: another process has it. StoreError: the file cannot be opened, or its file system has no locks.
    """
    try:
        file = open(path, "a+")  # noqa: SIM115 - closing it is how the lock ends
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}; choose another --store") from error
    until = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= until:
                file.seek(0)
                holder = file.read().strip()
                file.close()
                raise Held(path, holder) from None
            time.sleep(0.05)
        except OSError as error:
            file.close()
            raise StoreError(
                f"cannot lock {path}: {error.strerror}; choose a --store on a file system that has locks"
            ) from error
    holder = f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}"
    with contextlib.suppress(OSError):  # a full disk: the lock is held all the same, it only does not say by whom
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), holder.encode())
    return file
