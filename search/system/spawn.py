"""Starting processes and threads where the system limits their number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from insects.errors import StoreError


@contextmanager
def spawn_errors() -> Iterator[None]:
    """Report that the system starts no further process or thread.

    Raises:
        StoreError: In place of the OSError of a process or the RuntimeError of a thread.
    """
    try:
        yield
    except OSError as error:
        raise _spawn_error("process", error.strerror or str(error)) from error
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise _spawn_error("thread", str(error)) from error


def _spawn_error(what: str, reason: str) -> StoreError:
    return StoreError(
        f"cannot start a {what}: {reason}; end other programs or raise their limit (ulimit -u), "
        "then run the same command again"
    )
