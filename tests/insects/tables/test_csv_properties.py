"""Any CSV file is either refused with a message of one line, or read, split and trained on.

`benchmarks/csv_fuzz.py` runs the test with more files through the environment variables below.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings

from insects.errors import DataError
from insects.params import Recipe, TrialParams
from insects.splits import split
from insects.tables import csv_reader
from insects.tables.labelled import read_table
from insects.training import advance, init
from tests.support.csv_strategies import csv_files

Test = TypeVar("Test", bound=Callable[..., None])

EXAMPLES = int(os.environ.get("CSV_EXAMPLES", "150"))
MOST_COLUMNS = 10_000 if "CSV_EXAMPLES" in os.environ else 2_000  # a file of 10,000 columns takes half a second
SEED = os.environ.get("CSV_SEED")
OUTCOMES = os.environ.get("CSV_OUTCOMES")
"""A file that gets one line per example: the message, or an empty line if the file was accepted."""

FILES = settings(
    max_examples=EXAMPLES,
    derandomize=SEED is None,
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example overwrites the file of the one before
        HealthCheck.too_slow,  # some examples have thousands of columns
        HealthCheck.data_too_large,
    ],
)


def seeded(test: Test) -> Test:
    """Draw the examples from `SEED` if there is one."""
    return test if SEED is None else seed(int(SEED))(test)


def refusal(path: Path) -> str | None:
    """The message that refuses a file, or None if it was accepted, split and trained on for an epoch."""
    try:
        table = read_table(path)
        splits, test = split(table)
    except DataError as error:
        return str(error)
    parts = (splits.train_y, splits.valid_y, test.y)
    assert sum(map(len, parts)) == len(table.y)
    assert all(len(np.unique(y)) == len(table.classes) for y in parts)
    assert all(np.isfinite(x).all() for x in (splits.train_x, splits.valid_x, test.x))
    params = TrialParams(depth=1, width=4, lr=0.01, batch_size=8)
    state = advance(init(params, Recipe(epochs=1), splits.shape, seed=0, trial=0), splits, 1)
    assert state.epoch == 1
    assert state.status in ("finished", "diverged")
    assert (state.status == "diverged") == (not np.isfinite(state.history[:, [0, 2]]).all())
    return None


@pytest.mark.slow
@FILES
@given(content=csv_files(MOST_COLUMNS))
@seeded
def test_any_file_is_refused_in_one_line_or_trained_on(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    message = refusal(path)
    if message is not None:
        assert message.isprintable()  # so it is one line
        assert "t.csv" in message
    with mock.patch.object(csv_reader, "_SMALL", 0):  # pandas parses where it can
        assert refusal(path) == message
    if OUTCOMES is not None:
        with open(OUTCOMES, "a", encoding="utf-8") as file:
            file.write(f"{message or ''}\n")
