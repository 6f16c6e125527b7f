"""Splits by groups: rows of a group stay together, shares are near, and impossible ones are refused."""

from __future__ import annotations

import numpy as np
import pytest

from insects.errors import DataError
from insects.groups import draw_group_parts
from insects.splits import Parts

CLASSES = ("a", "b", "c")


def parts_of(group_N: np.ndarray, y_N: np.ndarray, test_fraction: float | None = 0.1) -> Parts:
    hash_N = np.random.default_rng(7).integers(0, 2**63, len(y_N)).astype(np.uint64)
    return draw_group_parts(group_N, hash_N, y_N.astype(np.int32), CLASSES, "t.csv", test_fraction=test_fraction)


def rows(groups: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Groups of 1 to 9 rows, with rows of several classes."""
    generator = np.random.default_rng(seed)
    group_N = np.repeat(np.arange(groups), generator.integers(1, 10, groups))
    return group_N, generator.choice(3, len(group_N), p=[0.6, 0.3, 0.1])


@pytest.mark.parametrize("seed", range(5))
def test_groups_stay_whole_and_parts_have_about_their_share_of_each_class(seed: int) -> None:
    group_N, y_N = rows(200, seed)
    parts = parts_of(group_N, y_N)
    everywhere = np.concatenate([parts.train, parts.valid, parts.test])
    assert sorted(everywhere) == list(range(len(y_N)))
    sets = [set(group_N[part]) for part in (parts.train, parts.valid, parts.test)]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 200
    for part, share in ((parts.test, 0.1), (parts.valid, 0.18)):
        counts = np.bincount(y_N[part], minlength=3)
        np.testing.assert_allclose(counts, share * np.bincount(y_N), atol=9)


def test_order_of_rows_and_names_of_groups_change_nothing() -> None:
    group_N, y_N = rows(60)
    hash_N = np.random.default_rng(7).integers(0, 2**63, len(y_N)).astype(np.uint64)
    order = np.random.default_rng(1).permutation(len(y_N))
    first = draw_group_parts(group_N, hash_N, y_N.astype(np.int32), CLASSES, "t.csv")
    again = draw_group_parts(1000 - group_N[order], hash_N[order], y_N[order].astype(np.int32), CLASSES, "t.csv")
    for one, other in ((first.train, again.train), (first.valid, again.valid), (first.test, again.test)):
        assert set(one.tolist()) == set(order[other].tolist())


def test_without_a_test_fraction_no_row_is_held_out() -> None:
    assert len(parts_of(*rows(60), test_fraction=None).test) == 0


@pytest.mark.parametrize("fraction", [0.05, 0.25, 0.5])
def test_share_of_test_rows_is_the_one_asked_for(fraction: float) -> None:
    group_N, y_N = rows(300)
    parts = parts_of(group_N, y_N, fraction)
    assert abs(len(parts.test) / len(y_N) - fraction) < 0.02
    assert abs(len(parts.valid) / len(y_N) - 0.2 * (1 - fraction)) < 0.02


def test_class_of_too_few_rows_and_fraction_out_of_bounds_are_refused() -> None:
    group_N, y_N = rows(60)
    y_N = np.where(y_N == 2, 0, y_N)
    y_N[:2] = 2
    with pytest.raises(DataError, match=r"^t\.csv: a class needs at least 3 rows to be .*, 'c' has 2; add"):
        parts_of(group_N, y_N)
    with pytest.raises(DataError, match=r"^the share of test rows must be above 0 and below 1, found 1\.0$"):
        parts_of(*rows(60), test_fraction=1.0)


def test_class_in_too_few_groups_is_refused() -> None:
    group_N = np.repeat(np.arange(60), 5)
    y_N = np.where(group_N == 7, 2, np.arange(300) % 2)
    with pytest.raises(DataError) as caught:
        parts_of(group_N, y_N)
    message = str(caught.value)
    assert message.startswith("t.csv: every class needs rows of enough groups to be in every part, found no ")
    assert message.endswith(" rows of 'c'; choose another group column")
    assert caught.value.parameter == "group"
