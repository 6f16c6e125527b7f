"""Logarithmic axes: limits and ticks at round numbers, with plain labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SERIES = ((1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0,))
_MOST_TICKS = 8

FLOOR = 1e-6
"""Smaller values are drawn here, because a logarithmic axis has no zero."""


def floor_note(value_N: NDArray[np.float64], name: str = "losses") -> str:
    """A note for the figure if one of the values, of that name, is drawn at `FLOOR`, otherwise nothing."""
    return f"{name} below {label(FLOOR)} are drawn there" if (value_N < FLOOR).any() else ""


def rounded_down(value: float) -> float:
    """The largest of …, 0.1, 0.2, 0.5, 1, 2, 5, 10, … that is at most `value` (above 0)."""
    decade = math.floor(math.log10(value))
    return max(number for number in _between(decade, decade + 1, (1.0, 2.0, 5.0)) if number <= value * (1 + 1e-9))


def rounded_up(value: float) -> float:
    """The smallest of …, 0.1, 0.2, 0.5, 1, 2, 5, 10, … that is at least `value` (above 0)."""
    decade = math.floor(math.log10(value))
    return min(number for number in _between(decade, decade + 1, (1.0, 2.0, 5.0)) if number >= value * (1 - 1e-9))


def logarithmic_ticks(low: float, high: float) -> list[float]:
    """At most 8 round numbers in `[low, high]`, from the finest series that has no more."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for mantissas in _SERIES:
        inside = [tick for tick in _between(first, last, mantissas) if low <= tick <= high]
        if len(inside) <= _MOST_TICKS:
            return inside
    return inside[:: math.ceil(len(inside) / _MOST_TICKS)]


def set_logarithmic(axes: Any, low: float, high: float) -> None:
    """Make the y axis logarithmic, with these limits and plain tick labels."""
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    ticks = logarithmic_ticks(low, high)
    axes.set_yticks(ticks, [label(tick) for tick in ticks])
    axes.minorticks_off()


def label(tick: float) -> str:
    """The shortest label of a tick: 0.05, 200, 1e-5, 1e8."""
    mantissa, _, exponent = f"{tick:g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def _between(first: int, last: int, mantissas: tuple[float, ...]) -> list[float]:
    """The numbers mantissa * 10^decade for the decades `first` to `last`, up to 10^last."""
    # Parsed from text: 0.3 and not 0.30000000000000004, so that equal limits are equal keys.
    numbers = [float(f"{mantissa}e{decade}") for decade in range(first, last + 1) for mantissa in mantissas]
    return [number for number in numbers if number <= float(f"1e{last}")]
