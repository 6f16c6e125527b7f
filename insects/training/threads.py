"""Limit torch to one thread, so that results do not depend on the number of cores."""

# mypy: allow-untyped-calls
# (torch is typed in part only)

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_threads_before, _users = 0, 0


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch to one intra-op thread inside the context, so that sums have one order.

    Several threads of the process may be inside at once. On busy cores, trials that train side by side are also 30
    times faster with one OpenMP thread each than with two.
    """
    global _threads_before, _users
    with _lock:
        if _users == 0:
            _threads_before = torch.get_num_threads()
        _users += 1
        torch.set_num_threads(1)  # in each caller, because OpenMP has a number for each thread
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            # MKL has one number for the process: an earlier reset would change it for callers still inside.
            if _users == 0:
                torch.set_num_threads(_threads_before)
