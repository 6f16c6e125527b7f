"""A small CSV file, and the error of a bad one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from insects.errors import DataError
from insects.splits import Table

Write = Callable[[str | bytes], Path]

GOOD = "labels,a,b\nbee,1,2\nfly,3,4\n"


def error_of(call: Callable[[], Table]) -> DataError:
    """The error that a call raises; its message is one line."""
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value).isprintable()
    return caught.value


def message_of(call: Callable[[], Table]) -> str:
    """The message of the error that a call raises."""
    return str(error_of(call))
