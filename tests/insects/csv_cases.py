"""A small CSV file, and the message that a bad one gets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from insects.errors import DataError
from insects.splits import Table

Write = Callable[[str | bytes], Path]


GOOD = "labels,a,b\nbee,1,2\nfly,3,4\n"


def message_of(call: Callable[[], Table]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value).isprintable()
    return str(caught.value)
