"""The search space: membership, Optuna's distributions, points of the unit cube."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insects.params import TrialParams
from search.study.space import SearchSpace, as_dict

SPACE = SearchSpace(depth=(1, 4), width=(16, 256), lr=(1e-4, 1e-1), batch_size=(4, 8, 16))
CORNER = TrialParams(depth=4, width=256, lr=1e-1, batch_size=16)


@pytest.mark.parametrize(
    "params",
    [
        TrialParams(depth=5, width=256, lr=1e-1, batch_size=16),
        TrialParams(depth=4, width=15, lr=1e-1, batch_size=16),
        TrialParams(depth=4, width=256, lr=0.1001, batch_size=16),
        TrialParams(depth=4, width=256, lr=1e-1, batch_size=5),
    ],
)
def test_a_point_beyond_one_bound_is_outside(params: TrialParams) -> None:
    assert CORNER in SPACE
    assert params not in SPACE


def test_cube_corners_map_to_the_spaces_corners() -> None:
    below_one = math.nextafter(1, 0)
    assert SPACE.from_unit_cube(0, 0, 0, 0) == TrialParams(depth=1, width=16, lr=1e-4, batch_size=4)
    high = SPACE.from_unit_cube(below_one, below_one, below_one, below_one)
    assert (high.depth, high.width, high.batch_size) == (4, 256, 16)
    assert high.lr == pytest.approx(1e-1, rel=1e-12)


def test_equal_intervals_of_the_cube_are_equal_shares_of_the_space() -> None:
    assert [SPACE.from_unit_cube(share, 0, 0.5, share).depth for share in (0.24, 0.26, 0.49, 0.51)] == [1, 2, 2, 3]
    assert SPACE.from_unit_cube(0, 0, 0.5, 0).lr == pytest.approx(math.sqrt(1e-4 * 1e-1))
    assert [SPACE.from_unit_cube(0, 0, 0, share).batch_size for share in (0.33, 0.34, 0.67)] == [4, 8, 16]


@given(cube=st.tuples(*[st.floats(0, 1, exclude_max=True)] * 4))
def test_every_point_of_the_cube_maps_into_the_space(cube: tuple[float, float, float, float]) -> None:
    assert SPACE.from_unit_cube(*cube) in SPACE


def test_widened_space_holds_both_and_keeps_the_order_of_batch_sizes() -> None:
    outside = TrialParams(depth=9, width=3, lr=7.0, batch_size=5)
    wide = SPACE.widened([outside, CORNER])
    assert outside in wide
    assert CORNER in wide
    assert wide == SearchSpace((1, 9), (3, 256), (1e-4, 7.0), (4, 8, 16, 5))
    assert SPACE.widened([]) == SPACE


def test_distributions_contain_the_same_points_as_the_space() -> None:
    for params in (CORNER, TrialParams(depth=5, width=1, lr=1.0, batch_size=9)):
        contained = {
            name: distribution._contains(distribution.to_internal_repr(as_dict(params)[name]))
            for name, distribution in SPACE.distributions().items()
            if name != "batch_size"
        }
        assert all(contained.values()) == (params in SPACE)
        assert list(SPACE.distributions()) == list(as_dict(params))


def test_typical_step_is_six_operations_a_parameter_and_row() -> None:
    from insects.mlp import Shape

    space = SearchSpace(depth=(3, 3), width=(5, 5), batch_size=(10,))
    assert space.typical_step_flop(Shape(5, 3)) == 6 * 108 * 10
    linear = SearchSpace(depth=(0, 1), width=(5, 5), batch_size=(10,))  # the middle is 0
    assert linear.typical_step_flop(Shape(5, 3)) == 6 * 18 * 10
