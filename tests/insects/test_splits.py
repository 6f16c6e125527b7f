"""Splits: membership by content, shares by class, standardization by the training rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from insects import splits as splits_module
from insects.spiral import builtin_tables
from insects.splits import Table, moments, split, table_digest
from insects.tables.labelled import read_rows_like, read_table
from tests.insects.split_cases import a_table, counts, raw, rows

REFERENCE = Path(__file__).parents[3] / "shared" / "data"


def test_parts_are_all_rows_once() -> None:
    table = a_table([40, 50, 60])
    splits, held_out = split(table)
    x = np.concatenate([raw(splits, splits.train_x), raw(splits, splits.valid_x), held_out.x])
    y = np.concatenate([splits.train_y, splits.valid_y, held_out.y])
    np.testing.assert_allclose(rows(x, y), rows(table.x, table.y), atol=1e-5)


def test_shuffled_file_gives_the_same_splits() -> None:
    table = a_table([100, 200, 300])
    order = np.random.default_rng(1).permutation(600)
    splits, held_out = split(table)
    again, held_out_again = split(replace(table, x=table.x[order], y=table.y[order]))
    assert splits.digest == again.digest
    np.testing.assert_array_equal(splits.train_x, again.train_x)
    np.testing.assert_array_equal(splits.valid_y, again.valid_y)
    assert table_digest(held_out) == table_digest(held_out_again)
    assert table_digest(table) != table_digest(replace(table, x=table.x[order], y=table.y[order]))


def test_another_row_moves_no_more_rows_than_the_shares_need() -> None:
    table = a_table([100, 100])
    more = replace(table, x=np.concatenate([table.x, table.x[:1] + 1]), y=np.concatenate([table.y, table.y[:1]]))
    _, held_out = split(table)
    _, held_out_of_more = split(more)
    common = set(rows(held_out.x, held_out.y)) & set(rows(held_out_of_more.x, held_out_of_more.y))
    assert len(common) >= 19


def test_split_seed_changes_the_splits_and_the_digest() -> None:
    table = a_table([100, 200])
    assert len({split(table, seed=seed)[0].digest for seed in range(5)}) == 5


def test_negative_zero_is_zero() -> None:
    table = a_table([30, 30])
    table.x[::2, 0] = 0.0
    negative = replace(table, x=table.x.copy())
    negative.x[::2, 0] = -0.0
    np.testing.assert_array_equal(split(table)[1].x, split(negative)[1].x)
    np.testing.assert_array_equal(split(table)[0].valid_x, split(negative)[0].valid_x)


def test_shares_are_rounded_and_stratified_by_largest_remainder() -> None:
    splits, held_out = split(a_table([104, 97, 43]))  # of 244 rows 24 are held out: 10.4, 9.7 and 4.3
    assert counts(held_out.y, 3) == [10, 10, 4]
    assert counts(splits.valid_y, 3) == [19, 17, 8]  # of the 220 left 44: 18.8, 17.4 and 7.8
    assert counts(splits.train_y, 3) == [75, 70, 31]


def test_small_classes_have_a_row_in_every_part() -> None:
    splits, held_out = split(a_table([500, 3, 4]))
    for y in (splits.train_y, splits.valid_y, held_out.y):
        assert min(counts(y, 3)) >= 1


@pytest.mark.parametrize("test_fraction", [0.001, 0.5, 0.999])
@pytest.mark.parametrize("valid_fraction", [0.001, 0.5, 0.999])
def test_no_part_is_empty_of_a_class_whatever_the_fractions(test_fraction: float, valid_fraction: float) -> None:
    splits, held_out = split(a_table([30, 3]), test_fraction=test_fraction, valid_fraction=valid_fraction)
    for y in (splits.train_y, splits.valid_y, held_out.y):
        assert min(counts(y, 2)) >= 1


def test_equal_rows_stay_on_one_side() -> None:
    table = a_table([60, 90])
    repeated = replace(table, x=np.repeat(table.x, 7, axis=0), y=np.repeat(table.y, 7))
    splits, held_out = split(repeated)
    parts = [
        {tuple(row) for row in np.round(x, 3).tolist()}
        for x in (raw(splits, splits.train_x), raw(splits, splits.valid_x), held_out.x)
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 150
    assert abs(len(held_out.y) - 105) <= 14
    assert abs(len(splits.valid_y) - 189) <= 14


def test_one_row_repeated_often_is_trained_on_and_not_held_out() -> None:
    table = a_table([100, 100])
    table.x[table.y == 0] = 1
    lone = np.flatnonzero(table.y == 0)[:10]
    table.x[lone] += np.arange(1, 11, dtype=np.float32)[:, None]
    splits, held_out = split(table)
    assert (held_out.x[held_out.y == 0] != 1).all()
    assert counts(splits.train_y, 2)[0] >= 90


def test_class_of_equal_rows_is_cut_exactly() -> None:
    table = a_table([100, 100])
    table.x[table.y == 0] = 1
    splits, held_out = split(table)
    assert counts(held_out.y, 2) == [10, 10]
    assert counts(splits.valid_y, 2) == [18, 18]


def test_given_test_table_is_held_out_and_nothing_else() -> None:
    train, test = builtin_tables()
    splits, held_out = split(train, test=test)
    assert held_out is test
    assert (len(splits.train_y), len(splits.valid_y)) == (960, 240)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference tables are not beside the project")
def test_reference_tables_give_960_240_and_299_rows() -> None:
    train = read_table(REFERENCE / "insects_train.csv")
    splits, test = split(train, test=read_rows_like(REFERENCE / "insects_test.csv", train.features, train.classes))
    assert (len(splits.train_y), len(splits.valid_y), len(test.y)) == (960, 240, 299)
    x = train.x.astype(np.float64)
    # pandas' describe() of the training table, ddof 1
    np.testing.assert_allclose(x.mean(axis=0), [-0.005118, -0.011813], atol=1e-6)
    np.testing.assert_allclose(x.std(axis=0, ddof=1), [0.406383, 0.407423], atol=1e-6)
    np.testing.assert_allclose(
        np.quantile(x, [0.25, 0.75], axis=0), [[-0.252324, -0.252466], [0.244759, 0.252078]], atol=1e-6
    )


def test_membership_and_digest_stay_what_they_are() -> None:
    _, held_out = split(builtin_tables()[0])
    assert table_digest(builtin_tables()[0]) == "ad0e9008bc140ed68b81ca3d880e01561d312a213fad951e9b3c68d9b2af3db8"
    assert table_digest(held_out) == "3975dc120738b3d8e536bc6016dc37d1cbfb92971158851161d9eb5b2653c9d4"


def test_training_rows_have_mean_0_and_deviation_1() -> None:
    splits, _ = split(a_table([300, 300]))
    np.testing.assert_allclose(splits.train_x.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(splits.train_x.std(axis=0, dtype=np.float64), 1, atol=1e-6)
    assert splits.train_x.dtype == splits.valid_x.dtype == splits.mean.dtype == splits.std.dtype == np.float32
    assert splits.train_x.flags.c_contiguous
    assert splits.valid_x.flags.c_contiguous


def test_validation_rows_are_standardized_by_the_training_rows() -> None:
    table = a_table([50, 50])
    splits, _ = split(table)
    wanted = rows((table.x - splits.mean) / splits.std, table.y)
    assert set(rows(splits.valid_x, splits.valid_y)) <= set(wanted)
    assert set(rows(splits.train_x, splits.train_y)) <= set(wanted)


def test_constant_column_becomes_zero() -> None:
    table = a_table([50, 50])
    table.x[:, 1] = 0.1  # the mean of many 0.1 is not 0.1 in floating point
    splits, _ = split(table)
    assert splits.std[1] == 1
    assert (splits.train_x[:, 1] == 0).all()
    assert (splits.valid_x[:, 1] == 0).all()


def test_table_is_not_changed() -> None:
    table = a_table([50, 50])
    before = table_digest(table)
    split(table)
    assert table_digest(table) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda table: replace(table, classes=("c0", "other")),
        lambda table: replace(table, features=("f0", "f1", "other")),
        lambda table: replace(table, x=np.nextafter(table.x, np.float32(np.inf))),
        lambda table: replace(table, y=1 - table.y),
    ],
    ids=["classes", "features", "x", "y"],
)
def test_digests_follow_names_and_rows(change: Callable[[Table], Table]) -> None:
    table = a_table([50, 50])
    assert table_digest(change(table)) != table_digest(table)
    assert split(change(table))[0].digest != split(table)[0].digest


def test_digest_does_not_follow_the_name_of_the_file() -> None:
    table = a_table([50, 50])
    assert table_digest(replace(table, source="b.csv")) == table_digest(table)
    assert split(replace(table, source="b.csv"))[0].digest == split(table)[0].digest


@pytest.mark.parametrize("rows", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize("at_once", [1, 3000, 1 << 20])
def test_moments_of_a_column_are_those_of_that_column_alone(
    rows: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits_module, "_NUMBERS_AT_ONCE", at_once)
    x_NF = (np.random.default_rng(0).normal(size=(rows, 9)) * np.geomspace(1e-20, 1e20, 9) + 7).astype(np.float32)
    x_NF[:, 4] = np.float32(0.1)
    mean_F, std_F = moments(x_NF)
    for column in range(9):
        value_N = x_NF[:, column].astype(np.float64)
        expected = value_N.std() if value_N.min() < value_N.max() else 1.0
        assert std_F[column] == np.float32(expected)
        assert mean_F[column] == (np.float32(0.1) if column == 4 else np.float32(value_N.mean()))


@pytest.mark.parametrize(("rows_a_class", "held_out", "valid"), [(13, 3, 5), (12, 2, 4), (18, 4, 6), (17, 3, 6)])
def test_parts_have_their_share_rounded_to_the_nearest(rows_a_class: int, held_out: int, valid: int) -> None:
    splits, test = split(a_table([rows_a_class, rows_a_class]))  # 2.6 and 4.6 of 26, 2.4 and 4.4 of 24, …
    assert (len(test.y), len(splits.valid_y)) == (held_out, valid)


def test_membership_stays_what_it_is() -> None:
    """A study goes on, and an evaluation is of rows never seen, only as long as the same rows are drawn."""
    x = np.arange(20, dtype=np.float32)[:, None]
    table = Table(("f",), ("a", "b"), x, (np.arange(20) % 2).astype(np.int32), "a.csv")
    splits, held_out = split(table)
    assert sorted(held_out.x[:, 0].tolist()) == HELD_OUT
    assert sorted(raw(splits, splits.valid_x)[:, 0].round().tolist()) == VALID


HELD_OUT = [6.0, 9.0]
VALID = [4.0, 7.0, 17.0, 18.0]
