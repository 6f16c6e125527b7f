"""File locks that the system releases when their holder dies, even by SIGKILL."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from pathlib import Path
from typing import IO

from insects.errors import StoreError


class LockHeldError(StoreError):
    """Another process holds the lock.

    Attributes:
        holder: The process, host and start time that the holder wrote into the lock file.
    """

    def __init__(self, path: Path, holder: str) -> None:
        self.holder = holder or "another process"  # the holder writes its line after it has the lock
        super().__init__(f"{path} is held by {self.holder}")


def hold(path: Path, wait: float = 0.0, *, shared: bool = False) -> IO[str]:
    """Take a lock, which is held until the returned file is closed, here and in the processes that inherited it.

    Args:
        path: The lock file, made if absent. It stays when the lock is released.
        wait: Seconds to wait for a lock that another process holds.
        shared: Whether others may hold it too, if theirs is shared as well.

    Raises:
        LockHeldError: Another process still holds the lock.
        StoreError: The file cannot be opened, or its file system has no locks.
    """
    try:
        file = open(path, "a+")  # noqa: SIM115 - closing the file releases the lock
    except OSError as error:
        raise StoreError(f"cannot open {path}: {error.strerror}; choose another --store") from error
    until = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= until:
                file.seek(0)
                holder = file.read().strip()
                file.close()
                raise LockHeldError(path, holder) from None
            time.sleep(0.05)
        except OSError as error:
            file.close()
            raise StoreError(
                f"cannot lock {path}: {error.strerror}; choose a --store on a file system that has locks"
            ) from error
    holder = f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}"
    with contextlib.suppress(OSError):  # on a full disk the lock is held all the same, without its holder's name
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), holder.encode())
    return file
