"""Small CSV files, the table of a messy one, and the error of a bad one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from insects.errors import DataError
from insects.tables.labelled import ColumnChoice
from insects.tables.raw import RawTable, read_raw_table

Write = Callable[[str | bytes], Path]

MESSY = """species,island,mass,bill,flag
Adelie,north,1.5,10,True
None,south,,20,False
Adelie, ,2.5,inf,True
,north,NA,x,False

None,south,3.5, 40 ,True
"""

GOOD = "labels,a,b\nbee,1,2\nfly,3,4\n"


def error_of(call: Callable[[], object]) -> DataError:
    """The error that a call raises; its message is one line."""
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value).isprintable()
    return caught.value


def message_of(call: Callable[[], object]) -> str:
    """The message of the error that a call raises."""
    return str(error_of(call))


def raw_table(path: Path, text: str, target: str = "labels", numeric: tuple[str, ...] = ()) -> RawTable:
    """Write a CSV file and read it as it is."""
    path.write_text(text, encoding="utf-8")
    return read_raw_table(path, ColumnChoice(target, numeric=numeric))
