"""Limits and ticks of logarithmic axes."""

from __future__ import annotations

import pytest

from insects.plots.ticks import label, logarithmic_ticks, rounded_down, rounded_up


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [(0.3, 0.2, 0.5), (0.2, 0.2, 0.2), (9, 5, 10), (1, 1, 1), (6e-6, 5e-6, 1e-5), (3e8, 2e8, 5e8)],
)
def test_limits_are_rounded_to_1_2_and_5(value: float, down: float, up: float) -> None:
    assert (rounded_down(value), rounded_up(value)) == (down, up)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (1, 2, [1, 1.5, 2]),
        (0.05, 2, [0.05, 0.1, 0.2, 0.5, 1, 2]),
        (0.01, 100, [0.01, 0.1, 1, 10, 100]),
        (1e-6, 1e8, [1e-6, 1e-4, 1e-2, 1, 1e2, 1e4, 1e6, 1e8]),
    ],
)
def test_ticks_are_few_and_round(low: float, high: float, ticks: list[float]) -> None:
    assert logarithmic_ticks(low, high) == ticks


def test_tick_labels_are_short() -> None:
    assert [label(tick) for tick in (0.05, 1.0, 200.0, 1e-5, 1e8)] == ["0.05", "1", "200", "1e-5", "1e8"]
