"""Axes of figures that compare trials: parameters with limits and ticks, and losses. Shapes: N trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from insects.objective import objective_name
from insects.params import Metric
from insects.plots.style import INK, NORMAL, VALID
from insects.plots.ticks import FLOOR, logarithmic_ticks
from insects.plots.ticks import label as number_label
from insects.trial import TrialResult

LABELS = {
    "depth": "depth (hidden layers)",
    "width": "width (units a layer)",
    "lr": "learning rate",
    "batch_size": "batch size",
}

_JITTER = 0.0375  # share of the distance between two values

Values = NDArray[np.float64]


Bounds = Mapping[str, Sequence[float]]
"""What was searched, by parameter: its lowest and highest value, or all choices of the batch size."""

LOSS_COLOURS = mpl.colormaps["viridis"]
RING: dict[str, Any] = {"marker": "o", "color": VALID, "fillstyle": "none", "markeredgewidth": 2.2}
"""Style of the ring around the best trial."""


@dataclass(frozen=True)
class ParameterAxis:
    """A parameter along an axis. Learning rates and batch sizes are placed by their logarithm.

    Attributes:
        name: The parameter.
        at: `(N,)`, the place of each trial.
        low: Lower end of the axis.
        high: Upper end.
        ticks: Places and labels.
        jitter: How far trials are moved apart where the values are few.
    """

    name: str
    at: Values
    low: float
    high: float
    ticks: list[tuple[float, str]]
    jitter: float = 0.0

    def spread(self, exact: int | None) -> Values:
        """`at` moved by up to `jitter`, so that trials hide each other less; the trial of index `exact` stays."""
        moved_N = self.at + self.jitter * np.random.Generator(np.random.PCG64(0)).uniform(-1, 1, len(self.at))
        if exact is not None:
            moved_N[exact] = self.at[exact]
        return moved_N

    def shares(self, values: Values) -> Values:
        """Places as shares of the axis's length."""
        return (values - self.low) / (self.high - self.low)

    def set(self, axes: Any, side: str) -> None:
        """Set limits, ticks and name of the `x` or `y` axis of `axes`."""
        getattr(axes, f"set_{side}lim")(self.low, self.high)
        getattr(axes, f"set_{side}ticks")(*zip(*self.ticks, strict=True))
        getattr(axes, f"set_{side}label")(LABELS[self.name], fontsize=NORMAL, color=INK)


def varying_axes(results: Sequence[TrialResult], bounds: Bounds) -> list[ParameterAxis]:
    """An axis for each parameter that has more than one value among the trials.

    Args:
        results: The trials.
        bounds: The ends of the axes; trials outside of them widen an axis.
    """
    makers: dict[str, Callable[[str, Values, Values], ParameterAxis]] = {
        "depth": _whole,
        "width": _whole,
        "lr": _logarithmic,
        "batch_size": _choices,
    }
    axes = []
    for name, make in makers.items():
        value_N = np.array([getattr(result.params, name) for result in results], float)
        if len(value_N) and value_N.min() < value_N.max():
            axes.append(make(name, value_N, np.unique([*bounds[name], *value_N])))
    return axes


def short_name(name: str) -> str:
    """A parameter's name without its unit."""
    return LABELS[name].partition(" (")[0]


def spread_note(axes: Sequence[ParameterAxis]) -> str:
    """A note for the figure that names the axes along which trials are moved, if any."""
    names = [short_name(parameter.name) for parameter in axes if parameter.jitter]
    if not names:
        return ""
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return f"{listed} {'is' if len(names) == 1 else 'are'} spread a little"


def objective_label(metric: Metric) -> str:
    """The name of an axis of lowest objectives."""
    return f"lowest {objective_name(metric)}{' (nats)' if metric == 'loss' else ''}"


def losses(results: Sequence[TrialResult]) -> Values:
    """Lowest objective of each trial, the loss or another; at least `FLOOR`, infinity for trials without one."""
    return np.maximum([result.objective for result in results], FLOOR)


def best_trial(results: Sequence[TrialResult]) -> int | None:
    """Index of the complete trial with the lowest finite objective, the one that the search chooses."""
    ranked = [
        (result.rank, index)
        for index, result in enumerate(results)
        if result.state == "complete" and np.isfinite(result.objective)
    ]
    return min(ranked)[1] if ranked else None


def colour_bounds(loss_N: Values) -> tuple[float, float]:
    """The ends of the colour scale: the lowest loss and the 90th percentile."""
    # Not the highest loss: a single bad trial would leave one colour for all others.
    finite = loss_N[np.isfinite(loss_N)]
    low = float(finite.min())
    return low, max(float(np.quantile(finite, 0.9)), 1.01 * low)


def few_ticks(low: float, high: float) -> list[float]:
    """At most 8 round numbers in `[low, high]`; of more, an even selection."""
    ticks = logarithmic_ticks(low, high)
    return ticks[:: 1 + len(ticks) // 8]


def dot_diameter(trials: int) -> float:
    """Diameter in points of a trial's dot."""
    return float(np.clip(7 * (60 / max(trials, 1)) ** 0.3, 2.5, 7))


def _whole(name: str, value_N: Values, searched: Values) -> ParameterAxis:
    low, high = searched[0], searched[-1]
    few = high - low < 12
    margin = 0.4 if few else 0.03 * (high - low)
    ticks = [t for t in MaxNLocator(5, integer=True).tick_values(low, high) if low <= t <= high]
    labelled = [(float(tick), f"{tick:.0f}") for tick in ticks]
    return ParameterAxis(name, value_N, low - margin, high + margin, labelled, _JITTER if few else 0.0)


def _logarithmic(name: str, value_N: Values, searched: Values) -> ParameterAxis:
    first, last = np.log10(searched[[0, -1]])
    margin = 0.03 * (last - first)
    low, high = first - margin, last + margin
    for mantissas in ((1,), (1, 3)):
        decades = range(math.floor(low), math.ceil(high) + 1)
        ticks = [float(f"{mantissa}e{decade}") for decade in decades for mantissa in mantissas]
        ticks = [tick for tick in ticks if low <= np.log10(tick) <= high]
        if len(ticks) >= 3:
            break
    else:
        ticks = logarithmic_ticks(10**low, 10**high)
    labelled = [(np.log10(tick), number_label(tick)) for tick in ticks]
    return ParameterAxis(name, np.log10(value_N), low, high, labelled)


def _choices(name: str, value_N: Values, searched: Values) -> ParameterAxis:
    places = np.log2(searched)
    length = places[-1] - places[0]
    ticks = [(float(places[0]), f"{searched[0]:.0f}")]
    for place, choice in zip(places[1:], searched[1:], strict=True):
        if place - ticks[-1][0] >= 0.1 * length:  # closer labels would overlap
            ticks.append((float(place), f"{choice:.0f}"))
    margin, jitter = 0.08 * length, _JITTER * min(1.0, float(np.diff(places).min()))
    return ParameterAxis(name, np.log2(value_N), places[0] - margin, places[-1] + margin, ticks, jitter)
