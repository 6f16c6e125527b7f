"""Starting processes and threads, and in one line what stands in the way of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from insects.errors import StoreError


@contextmanager
def starting() -> Iterator[None]:
    """Turn what is raised where the system starts no further process or thread into one line.

    Raises: StoreError: instead of the OSError of a process, or the RuntimeError of a thread.
    """
    try:
        yield
    except OSError as error:
        raise _refused("process", error.strerror or str(error)) from error
    except RuntimeError as error:
        if "start new thread" not in str(error):
            raise
        raise _refused("thread", str(error)) from error


def _refused(what: str, reason: str) -> StoreError:
    return StoreError(
        f"a {what} that is needed cannot be started: {reason}; end other programs or raise their limit (ulimit -u), "
        "then run the same command again"
    )
