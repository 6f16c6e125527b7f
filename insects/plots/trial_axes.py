"""Trials as numbers to draw: their parameters along axes with ticks, and their losses. Shapes: N trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from insects.plots.ticks import FLOOR, logarithmic_ticks
from insects.plots.ticks import label as number_label
from insects.trial import TrialResult

LABELS = {
    "depth": "depth (hidden layers)",
    "width": "width (units a layer)",
    "lr": "learning rate",
    "batch_size": "batch size",
}
LOSS_LABEL = "lowest validation loss (nats)"

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ParameterAxis:
    """A parameter along an axis. at: `(N,)`, where each trial is; low, high: its ends; ticks: places and labels.

    Learning rates stand by their logarithm, batch sizes side by side, whatever lies between them.
    """

    name: str
    at: Values
    low: float
    high: float
    ticks: list[tuple[float, str]]
    steps: bool

    def spread(self) -> Values:
        """`at`, with values of few steps moved by up to 0.15 so that trials do not hide each other."""
        if not self.steps:
            return self.at
        return self.at + np.random.Generator(np.random.PCG64(0)).uniform(-0.15, 0.15, len(self.at))

    def shares(self, values: Values) -> Values:
        """Places along the axis as shares of its length."""
        return (values - self.low) / (self.high - self.low)


def varying_axes(results: Sequence[TrialResult]) -> list[ParameterAxis]:
    """An axis for each parameter with more than one value among the trials."""
    makers: dict[str, Callable[[str, Values], ParameterAxis]] = {
        "depth": _whole,
        "width": _whole,
        "lr": _logarithmic,
        "batch_size": _choices,
    }
    axes = []
    for name, make in makers.items():
        value_N = np.array([getattr(result.params, name) for result in results], float)
        if len(value_N) and value_N.min() < value_N.max():
            axes.append(make(name, value_N))
    return axes


def losses(results: Sequence[TrialResult]) -> Values:
    """Lowest validation loss of each trial, at least `FLOOR`; infinity for those that have none."""
    return np.maximum([result.valid_loss for result in results], FLOOR)


def best_trial(results: Sequence[TrialResult]) -> int | None:
    """Index of the complete trial with the lowest finite loss, as the search chooses it."""
    ranked = [
        (result.valid_loss, result.number, index)
        for index, result in enumerate(results)
        if result.state == "complete" and np.isfinite(result.valid_loss)
    ]
    return min(ranked)[2] if ranked else None


def _whole(name: str, value_N: Values) -> ParameterAxis:
    low, high = value_N.min(), value_N.max()
    few = high - low < 12
    ticks = [t for t in MaxNLocator(5, integer=True).tick_values(low, high) if few or low <= t <= high]
    margin = 0.4 if few else 0.03 * (high - low)
    inside = [(float(tick), f"{tick:.0f}") for tick in ticks if low - margin <= tick <= high + margin]
    return ParameterAxis(name, value_N, low - margin, high + margin, inside, few)


def _logarithmic(name: str, value_N: Values) -> ParameterAxis:
    at_N = np.log10(value_N)
    margin = 0.03 * (at_N.max() - at_N.min())
    low, high = at_N.min() - margin, at_N.max() + margin
    for mantissas in ((1,), (1, 3)):
        decades = range(math.floor(low), math.ceil(high) + 1)
        ticks = [float(f"{mantissa}e{decade}") for decade in decades for mantissa in mantissas]
        ticks = [tick for tick in ticks if low <= np.log10(tick) <= high]
        if len(ticks) >= 3:
            break
    else:
        ticks = logarithmic_ticks(10**low, 10**high)
    return ParameterAxis(name, at_N, low, high, [(np.log10(tick), number_label(tick)) for tick in ticks], False)


def _choices(name: str, value_N: Values) -> ParameterAxis:
    choices, at_N = np.unique(value_N, return_inverse=True)
    step = 1 + (len(choices) - 1) // 8
    ticks = [(float(place), f"{choices[place]:.0f}") for place in range(0, len(choices), step)]
    return ParameterAxis(name, at_N.astype(float), -0.4, len(choices) - 0.6, ticks, len(choices) < 30)
