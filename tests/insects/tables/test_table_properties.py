"""Any text file is either refused with a message of one line, or read, split, encoded and trained on.

`benchmarks/csv_fuzz.py` runs the test with more files through the environment variables below.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from insects.errors import DataError
from insects.params import Recipe, TrialParams
from insects.scaling import SCALINGS
from insects.tables.columns import Columns
from insects.tables.frames import FrameBlocks, read_frame
from insects.tables.labelled import ColumnChoice, read_labelled
from insects.tables.prepare import prepare_table
from insects.tables.text_files import TableFormat
from insects.training import advance, init
from tests.support.csv_strategies import csv_files

Test = TypeVar("Test", bound=Callable[..., None])

EXAMPLES = int(os.environ.get("CSV_EXAMPLES", "150"))
MOST_COLUMNS = 2_000  # a column of texts takes some milliseconds
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


def refusal(path: Path, scaling: str) -> str | None:
    """The message that refuses a file, or None if it was accepted, split and trained on for an epoch."""
    choice = ColumnChoice()
    try:
        labelled = read_labelled(path, choice)
        prepared = prepare_table(labelled, choice, test_fraction=0.1, seed=0, scaling=scaling)
    except DataError as error:
        return str(error)
    splits, test = prepared.splits, prepared.test
    assert test is not None
    parts = (splits.train_y, splits.valid_y, test.y)
    assert sum(map(len, parts)) == len(labelled.y)
    assert all(len(np.unique(y)) == len(labelled.classes) for y in parts)
    assert all(np.isfinite(x).all() for x in (splits.train_x, splits.valid_x))
    assert not np.isnan(splits.encoder.transform(test.x)).any()  # infinite where it is too far from the training rows
    assert all(note.isprintable() for note in prepared.notes)
    params = TrialParams(depth=1, width=4, lr=0.01, batch_size=8)
    state = advance(init(params, Recipe(epochs=1), splits.shape, seed=0, trial=0), splits, 1)
    assert state.epoch == 1
    assert state.status in ("finished", "diverged")
    assert (state.status == "diverged") == (not np.isfinite(state.history[:, [0, 2]]).all())
    check_blocks(path, prepared.columns)
    return None


def check_blocks(path: Path, columns: Columns) -> None:
    """Rows that are read to predict for are coded as those that are read to learn from."""
    texts = {column.name for column in columns.columns if column.kind == "category"}
    whole = read_frame(path, TableFormat(), texts, "labels")
    blocks = FrameBlocks(path, TableFormat())
    read = pd.concat([frame for frame, _ in blocks], ignore_index=True)
    np.testing.assert_array_equal(
        columns.code(read, "blocks", blocks.decimal), columns.code(whole.cells, "whole", whole.decimal)
    )


@pytest.mark.slow
@FILES
@given(content=csv_files(MOST_COLUMNS), scaling=st.sampled_from(SCALINGS))
@seeded
def test_any_file_is_refused_in_one_line_or_trained_on(tmp_path: Path, content: bytes, scaling: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    message = refusal(path, scaling)
    if message is not None:
        assert message.isprintable()  # so it is one line
        assert "t.csv" in message
    if OUTCOMES is not None:
        with open(OUTCOMES, "a", encoding="utf-8") as file:
            file.write(f"{message or ''}\n")
