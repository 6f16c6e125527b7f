"""Python's garbage collector: importing millions of objects that stay must not start it thousands of times."""

from __future__ import annotations

import gc

_NEW_OBJECTS = 50_000
"""New objects after which it runs; Python's own 700 make the import of torch and MLflow a sixth slower."""


def collect_rarely() -> None:
    """Let the garbage collector run less often in this process."""
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
