"""Tables and fractions that cannot be split: the one line that each gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from insects.errors import DataError
from insects.spiral import builtin_tables
from insects.splits import split
from tests.insects.split_cases import a_table, counts


def test_test_table_of_other_names_is_refused() -> None:
    train, test = builtin_tables()
    for other in (replace(test, features=("feature2", "feature1")), replace(test, classes=("0", "1", "2", "4", "3"))):
        with pytest.raises(ValueError, match="the test table must have the features and classes"):
            split(train, test=other)


def test_class_with_too_few_rows_is_named_with_its_count() -> None:
    with pytest.raises(DataError) as caught:
        split(a_table([50, 2]))
    assert str(caught.value) == (
        "a.csv: a class needs at least 3 rows to be split into training, validation and test, "
        "class 'c1' has 2; add rows or leave the class out"
    )
    splits, _ = split(a_table([50, 2]), test=a_table([5, 5]))  # two are enough beside a test table
    assert (counts(splits.train_y, 2)[1], counts(splits.valid_y, 2)[1]) == (1, 1)
    with pytest.raises(DataError, match=r"at least 2 rows to be split into training and validation, class 'c1' has 1"):
        split(a_table([50, 1]), test=a_table([5, 5]))


def test_one_class_only_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        split(a_table([50]))
    assert str(caught.value) == (
        "a.csv: a search needs at least two classes, found only 'c0'; choose another label column"
    )


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, float("nan")])
def test_fractions_outside_their_bounds_are_refused(fraction: float) -> None:
    with pytest.raises(DataError, match="the share of test rows must be above 0 and below 1, found"):
        split(a_table([50, 50]), test_fraction=fraction)
    with pytest.raises(DataError, match="the share of validation rows must be above 0 and below 1, found"):
        split(a_table([50, 50]), valid_fraction=fraction)


def test_column_too_spread_for_float32_is_named() -> None:
    table = a_table([50, 50])
    table.x[:, 2] = np.float32(3e38)
    table.x[::10, 2] = np.float32(-3e38)
    with pytest.raises(
        DataError, match=r"^a.csv: column 'f2' must fit into float32 when standardized, .*; rescale it$"
    ):
        split(table)
