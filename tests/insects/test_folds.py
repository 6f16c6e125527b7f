"""Folds: by content, of about equal size, with units whole and every class in every training part."""

from __future__ import annotations

import numpy as np
import pytest

from insects.folds import ALWAYS_TRAINED, FoldRows, draw_folds, held_out
from tests.support.studies import builtin_data


def hashes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**63, count).astype(np.uint64)


def test_folds_have_equal_shares_of_every_class() -> None:
    y = np.repeat(np.arange(3, dtype=np.int32), [101, 52, 22])
    fold = draw_folds(hashes(175), y, 5)
    assert np.bincount(fold).tolist() == [35] * 5
    for code, rows in enumerate((101, 52, 22)):
        assert set(np.bincount(fold[y == code], minlength=5)) <= {rows // 5, rows // 5 + 1}


def test_fold_of_a_row_does_not_depend_on_the_order_of_the_rows() -> None:
    y, unit = (np.arange(200) % 3).astype(np.int32), hashes(200)
    unit[50:80] = unit[20]  # a unit of several rows and classes
    order = np.random.default_rng(1).permutation(200)
    np.testing.assert_array_equal(draw_folds(unit[order], y[order], 4), draw_folds(unit, y, 4)[order])


def test_units_stay_whole_and_are_spread_by_class() -> None:
    unit = np.repeat(hashes(30), 7)
    y = np.repeat(np.arange(30) % 2, 7).astype(np.int32)
    fold = draw_folds(unit, y, 5)
    assert all(len(set(fold[unit == one])) == 1 for one in np.unique(unit))
    for code in (0, 1):
        assert np.bincount(fold[y == code], minlength=5).tolist() == [21] * 5


def test_single_rows_fill_up_what_large_units_leave() -> None:
    unit, y = hashes(40), np.zeros(40, np.int32)
    y[30:] = 1
    unit[:6] = unit[0]
    fold = draw_folds(unit, y, 4)
    assert sorted(np.bincount(fold[y == 0])) == [7, 7, 8, 8]
    assert np.bincount(fold).tolist() == [10] * 4


def test_few_rows_a_class_give_fewer_folds() -> None:
    y = np.repeat(np.arange(4, dtype=np.int32), [3, 2, 3, 2])
    assert draw_folds(hashes(10), y, 5).max() == 2
    assert draw_folds(hashes(30), np.repeat(np.arange(2, dtype=np.int32), [2, 28]), 5).max() == 4


def test_class_with_one_unit_is_in_every_training_part() -> None:
    unit = hashes(21)
    unit[:3] = unit[0]
    y = np.array([0] * 3 + [1] * 9 + [2] * 9, np.int32)
    fold = draw_folds(unit, y, 3)
    assert fold[:3].tolist() == [ALWAYS_TRAINED] * 3
    assert np.bincount(fold[3:]).tolist() == [6, 6, 6]
    for fold_number in range(3):
        assert set(y[fold != fold_number]) == {0, 1, 2}


@pytest.mark.parametrize("folds", [2, 5])
def test_every_row_is_held_out_once(folds: int) -> None:
    rows = builtin_data().fold_rows
    fold = rows.draw(folds)
    parts = [held_out(rows.splits, fold, number) for number in range(folds)]
    valid = np.concatenate([part.valid_x for part in parts])
    everything = np.concatenate([rows.splits.train_x, rows.splits.valid_x])
    assert sorted(map(tuple, valid.tolist())) == sorted(map(tuple, everything.tolist()))
    for part in parts:
        assert len(part.train_y) + len(part.valid_y) == len(everything)
        seen = set(map(tuple, part.train_x.tolist()))
        # The five rows at the origin are equal, each with another class: they are drawn independently.
        common = [row for row in part.valid_x.tolist() if tuple(row) in seen]
        assert all(row == common[0] for row in common)
    assert len({part.digest for part in parts}) == folds


def test_independent_units_are_counted_where_rows_belong_to_groups() -> None:
    rows = builtin_data().fold_rows
    assert rows.independent_units is None
    units = np.arange(len(rows.units), dtype=np.uint64) // np.uint64(100)
    assert FoldRows(rows.splits, units, grouped=True).independent_units == 12
