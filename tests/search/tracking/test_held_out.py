"""The keys of training rows in a search's run: known rows are counted, damaged files reported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insects.errors import DataError
from insects.row_hashes import row_keys
from search.tracking.held_out import count_known, save_keys
from tests.support.studies import builtin_data


def test_known_rows_are_counted_as_often_as_they_occur(tmp_path: Path) -> None:
    data = builtin_data()
    save_keys(data.seen, tmp_path / "keys.npy")
    splits, test = data.splits, data.test
    # A row at the origin is in both tables, with another class.
    assert count_known(row_keys(test.x, test.y), tmp_path / "keys.npy") == 0
    rows = np.concatenate([data.train_raw[:7], test.x[:5], data.valid_raw[:3], data.train_raw[:2]])
    classes = np.concatenate([splits.train_y[:7], test.y[:5], splits.valid_y[:3], splits.train_y[:2]])
    assert count_known(row_keys(rows, classes), tmp_path / "keys.npy") == 12
    assert count_known(row_keys(rows, (classes + 1) % 5), tmp_path / "keys.npy") == 0
    assert count_known(row_keys(rows + np.float32(1e-3), classes), tmp_path / "keys.npy") == 0


def test_nothing_is_known_of_data_whose_rows_repeat(tmp_path: Path) -> None:
    save_keys(np.empty(0, np.uint64), tmp_path / "keys.npy")
    assert count_known(row_keys(builtin_data().test.x, builtin_data().test.y), tmp_path / "keys.npy") is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"keys", None])
def test_damaged_keys_are_one_line_that_names_the_file(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "keys.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as error:
        count_known(np.ones(3, np.uint64), path)
    assert str(error.value).startswith(f"cannot read the keys of the training rows in {path}: ")
