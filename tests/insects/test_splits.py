"""Splits: parts by content and seed, shares by class, standardization by the training rows, refused tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from insects import encoder as encoder_module
from insects.encoder import moments
from insects.errors import DataError
from insects.spiral import builtin_tables
from insects.splits import Table, split, table_digest
from tests.support.split_cases import a_table, counts, rows, unstandardized
from tests.support.tables import read_numbers

REFERENCE = Path(__file__).parents[3] / "shared" / "data"

TEST = [9.0, 16.0]
VALID = [0.0, 6.0, 15.0, 19.0]


def test_every_row_is_in_exactly_one_part() -> None:
    table = a_table([40, 50, 60])
    splits, test = split(table)
    x = np.concatenate([unstandardized(splits, splits.train_x), unstandardized(splits, splits.valid_x), test.x])
    y = np.concatenate([splits.train_y, splits.valid_y, test.y])
    np.testing.assert_allclose(rows(x, y), rows(table.x, table.y), atol=1e-5)


def test_shuffled_file_gives_the_same_splits() -> None:
    table = a_table([100, 200, 300])
    order = np.random.default_rng(1).permutation(600)
    splits, test = split(table)
    again, test_again = split(replace(table, x=table.x[order], y=table.y[order]))
    assert splits.digest == again.digest
    np.testing.assert_array_equal(splits.train_x, again.train_x)
    np.testing.assert_array_equal(splits.valid_y, again.valid_y)
    assert table_digest(test) == table_digest(test_again)
    assert table_digest(table) != table_digest(replace(table, x=table.x[order], y=table.y[order]))


def test_additional_row_moves_no_more_rows_than_the_shares_require() -> None:
    table = a_table([100, 100])
    more = replace(table, x=np.concatenate([table.x, table.x[:1] + 1]), y=np.concatenate([table.y, table.y[:1]]))
    _, test = split(table)
    _, test_of_more = split(more)
    common = set(rows(test.x, test.y)) & set(rows(test_of_more.x, test_of_more.y))
    assert len(common) >= 19


def test_split_seed_changes_the_splits_and_the_digest() -> None:
    table = a_table([100, 200])
    assert len({split(table, seed=seed)[0].digest for seed in range(5)}) == 5


def test_rows_with_equal_features_of_different_classes_are_drawn_independently() -> None:
    table = a_table([40] * 8)
    x = table.x.copy()
    x[::40] = 0.0  # the first row of each class
    valid = []
    for seed in range(20):
        splits, _ = split(replace(table, x=x), seed=seed)
        valid.append(int((unstandardized(splits, splits.valid_x) == 0).all(axis=1).sum()))
    assert set(valid) != {0, 8}
    assert 0.1 < np.mean(valid) / 8 < 0.3


def test_negative_zero_counts_as_zero() -> None:
    table = a_table([30, 30])
    table.x[::2, 0] = 0.0
    negative = replace(table, x=table.x.copy())
    negative.x[::2, 0] = -0.0
    np.testing.assert_array_equal(split(table)[1].x, split(negative)[1].x)
    np.testing.assert_array_equal(split(table)[0].valid_x, split(negative)[0].valid_x)


def test_shares_are_rounded_and_stratified_by_largest_remainder() -> None:
    splits, test = split(a_table([104, 97, 43]))  # of 244 rows 24 are held out: 10.4, 9.7 and 4.3
    assert counts(test.y, 3) == [10, 10, 4]
    assert counts(splits.valid_y, 3) == [19, 17, 8]  # of the 220 left 44: 18.8, 17.4 and 7.8
    assert counts(splits.train_y, 3) == [75, 70, 31]


def test_small_class_has_a_row_in_every_part() -> None:
    splits, test = split(a_table([500, 3, 4]))
    for y in (splits.train_y, splits.valid_y, test.y):
        assert min(counts(y, 3)) >= 1


@pytest.mark.parametrize("test_fraction", [0.001, 0.5, 0.999])
@pytest.mark.parametrize("valid_fraction", [0.001, 0.5, 0.999])
def test_every_class_is_in_every_part_for_any_fractions(test_fraction: float, valid_fraction: float) -> None:
    splits, test = split(a_table([30, 3]), test_fraction=test_fraction, valid_fraction=valid_fraction)
    for y in (splits.train_y, splits.valid_y, test.y):
        assert min(counts(y, 2)) >= 1


def test_equal_rows_stay_in_one_part() -> None:
    table = a_table([60, 90])
    repeated = replace(table, x=np.repeat(table.x, 7, axis=0), y=np.repeat(table.y, 7))
    splits, test = split(repeated)
    parts = [
        {tuple(row) for row in np.round(x, 3).tolist()}
        for x in (unstandardized(splits, splits.train_x), unstandardized(splits, splits.valid_x), test.x)
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 150
    assert abs(len(test.y) - 105) <= 14
    assert abs(len(splits.valid_y) - 189) <= 14


def test_row_repeated_more_often_than_a_part_is_large_is_trained_on() -> None:
    table = a_table([100, 100])
    table.x[table.y == 0] = 1
    lone = np.flatnonzero(table.y == 0)[:10]
    table.x[lone] += np.arange(1, 11, dtype=np.float32)[:, None]
    splits, test = split(table)
    assert (test.x[test.y == 0] != 1).all()
    assert counts(splits.train_y, 2)[0] >= 90


def test_class_of_equal_rows_is_split_by_its_exact_share() -> None:
    table = a_table([100, 100])
    table.x[table.y == 0] = 1
    splits, test = split(table)
    assert counts(test.y, 2) == [10, 10]
    assert counts(splits.valid_y, 2) == [18, 18]


def test_given_test_table_is_returned_and_no_row_is_drawn() -> None:
    train, test = builtin_tables()
    splits, returned = split(train, test=test)
    assert returned is test
    assert (len(splits.train_y), len(splits.valid_y)) == (960, 240)


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference tables are not beside the project")
def test_reference_tables_give_960_240_and_299_rows() -> None:
    train = read_numbers(REFERENCE / "insects_train.csv")
    splits, test = split(train, test=read_numbers(REFERENCE / "insects_test.csv"))
    assert (len(splits.train_y), len(splits.valid_y), len(test.y)) == (960, 240, 299)
    x = train.x.astype(np.float64)
    # pandas' describe() of the training table, ddof 1
    np.testing.assert_allclose(x.mean(axis=0), [-0.005118, -0.011813], atol=1e-6)
    np.testing.assert_allclose(x.std(axis=0, ddof=1), [0.406383, 0.407423], atol=1e-6)
    np.testing.assert_allclose(
        np.quantile(x, [0.25, 0.75], axis=0), [[-0.252324, -0.252466], [0.244759, 0.252078]], atol=1e-6
    )


def test_test_rows_of_the_built_in_table_have_their_known_digest() -> None:
    _, test = split(builtin_tables()[0])
    assert table_digest(builtin_tables()[0]) == "ad0e9008bc140ed68b81ca3d880e01561d312a213fad951e9b3c68d9b2af3db8"
    assert table_digest(test) == "a828cc5422762f0098e34f273212739b7bdd57d9f7674f6f675abf758e30b65d"


def test_training_rows_have_mean_0_and_standard_deviation_1() -> None:
    splits, _ = split(a_table([300, 300]))
    np.testing.assert_allclose(splits.train_x.mean(axis=0, dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(splits.train_x.std(axis=0, dtype=np.float64), 1, atol=1e-6)
    assert (
        splits.train_x.dtype
        == splits.valid_x.dtype
        == splits.encoder.mean.dtype
        == splits.encoder.std.dtype
        == np.float32
    )
    assert splits.train_x.flags.c_contiguous
    assert splits.valid_x.flags.c_contiguous


def test_validation_rows_are_standardized_by_the_training_rows() -> None:
    table = a_table([50, 50])
    splits, _ = split(table)
    wanted = rows((table.x - splits.encoder.mean) / splits.encoder.std, table.y)
    assert set(rows(splits.valid_x, splits.valid_y)) <= set(wanted)
    assert set(rows(splits.train_x, splits.train_y)) <= set(wanted)


def test_constant_column_becomes_zero() -> None:
    table = a_table([50, 50])
    table.x[:, 1] = 0.1  # the mean of many 0.1 is not 0.1 in floating point
    splits, _ = split(table)
    assert splits.encoder.std[1] == 1
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
def test_digest_depends_on_names_and_rows(change: Callable[[Table], Table]) -> None:
    table = a_table([50, 50])
    assert table_digest(change(table)) != table_digest(table)
    assert split(change(table))[0].digest != split(table)[0].digest


def test_digest_does_not_depend_on_the_file_name() -> None:
    table = a_table([50, 50])
    assert table_digest(replace(table, source="b.csv")) == table_digest(table)
    assert split(replace(table, source="b.csv"))[0].digest == split(table)[0].digest


@pytest.mark.parametrize("rows", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize("at_once", [1, 3000, 1 << 20])
def test_moments_of_a_column_do_not_depend_on_the_other_columns(
    rows: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_module, "_NUMBERS_AT_ONCE", at_once)
    x_NF = (np.random.default_rng(0).normal(size=(rows, 9)) * np.geomspace(1e-20, 1e20, 9) + 7).astype(np.float32)
    x_NF[:, 4] = np.float32(0.1)
    mean_F, std_F = moments(x_NF)
    for column in range(9):
        value_N = x_NF[:, column].astype(np.float64)
        expected = value_N.std() if value_N.min() < value_N.max() else 1.0
        assert std_F[column] == np.float32(expected)
        assert mean_F[column] == (np.float32(0.1) if column == 4 else np.float32(value_N.mean()))


@pytest.mark.parametrize(
    ("rows_per_class", "test_rows", "valid_rows"), [(13, 3, 5), (12, 2, 4), (18, 4, 6), (17, 3, 6)]
)
def test_size_of_a_part_is_its_share_rounded_to_the_nearest(
    rows_per_class: int, test_rows: int, valid_rows: int
) -> None:
    splits, test = split(a_table([rows_per_class, rows_per_class]))  # 2.6 and 4.6 of 26, 2.4 and 4.4 of 24, …
    assert (len(test.y), len(splits.valid_y)) == (test_rows, valid_rows)


def test_the_same_rows_are_drawn_in_every_version() -> None:
    """Otherwise a study could not be resumed, and an evaluation would use rows that were trained on."""
    x = np.arange(20, dtype=np.float32)[:, None]
    table = Table(("f",), ("a", "b"), x, (np.arange(20) % 2).astype(np.int32), "a.csv")
    splits, test = split(table)
    assert sorted(test.x[:, 0].tolist()) == TEST
    assert sorted(unstandardized(splits, splits.valid_x)[:, 0].round().tolist()) == VALID


def test_test_table_with_other_features_or_classes_is_refused() -> None:
    train, test = builtin_tables()
    for other in (replace(test, features=("feature2", "feature1")), replace(test, classes=("0", "1", "2", "4", "3"))):
        with pytest.raises(ValueError, match="the test table must have the features and classes"):
            split(train, test=other)


def test_class_with_too_few_rows_is_named_with_its_count() -> None:
    with pytest.raises(DataError) as caught:
        split(a_table([50, 2]))
    assert str(caught.value) == (
        "a.csv: a class needs at least 3 rows to be split into training, validation and test, "
        "'c1' has 2; add rows, or leave out 1 class with 2 rows"
    )
    splits, _ = split(a_table([50, 2]), test=a_table([5, 5]))  # two are enough beside a test table
    assert (counts(splits.train_y, 2)[1], counts(splits.valid_y, 2)[1]) == (1, 1)
    with pytest.raises(DataError, match=r"at least 2 rows to be split into training and validation, 'c1' has 1"):
        split(a_table([50, 1]), test=a_table([5, 5]))


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        split(a_table([50]))
    assert str(caught.value) == (
        "a.csv: a search needs at least two classes, found only 'c0'; choose another label column"
    )
    assert caught.value.parameter == "target"


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_fractions_outside_their_bounds_are_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="the share of test rows must be above 0 and below 1, found") as caught:
        split(a_table([50, 50]), test_fraction=fraction)
    assert caught.value.parameter == "test_fraction"
    with pytest.raises(DataError, match="the share of validation rows must be above 0 and below 1, found"):
        split(a_table([50, 50]), valid_fraction=fraction)


def test_column_that_overflows_float32_is_named() -> None:
    table = a_table([50, 50])
    table.x[:, 2] = np.float32(3e38)
    table.x[::10, 2] = np.float32(-3e38)
    with pytest.raises(
        DataError, match=r"^a.csv: column 'f2' must fit into float32 when standardized, .*; rescale it$"
    ):
        split(table)
