"""How much each parameter has to do with a trial being among the best: PED-ANOVA.

Watanabe, Bansal and Hutter, PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces,
IJCAI 2023, arXiv:2304.10255. The numbers are those of `optuna.importance`, which takes seconds to import.

Shapes: N trials, G points of a grid, K kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from insects.params import TrialParams
from search.study.space import SearchSpace

TOP = 0.1
"""Share of the trials that counts as the best."""

_GRID = 50
_PRIOR = 1.0  # weight of the prior, in trials
_NARROWEST = 0.5 / 1.64  # kernel's standard deviation, so that 90 % of it is on its point of the grid

Values = NDArray[np.float64]


def importances(space: SearchSpace, params: Sequence[TrialParams], losses: Sequence[float]) -> dict[str, float]:
    """Importance of each parameter that is not fixed, in shares that add up to 1, largest first.

    Args: space: holds all `params`. losses: lower is better; trials without a finite one do not count.
    Returns: nothing at all where the trials do not tell: too few of them, all equally good, or all parameters fixed.
    """
    loss_N = np.array(losses, float)
    kept = np.flatnonzero(np.isfinite(loss_N)).tolist()
    if len(kept) < 2:
        return {}
    loss_N = loss_N[kept]
    cutoff = np.sort(loss_N)[math.ceil(TOP * len(loss_N)) - 1]
    top_N = loss_N <= cutoff
    if top_N.all():
        return {}
    divergence = {}
    for name, choices, position in _axes(space):
        place_N = np.array([position(getattr(params[trial], name)) for trial in kept])
        density = _choice_density if name == "batch_size" else _grid_density
        top_G, all_G = (density(np.bincount(place, minlength=choices)) + 1e-12 for place in (place_N[top_N], place_N))
        divergence[name] = float(all_G @ (top_G / all_G - 1) ** 2)  # Pearson's, of the best from all
    total = sum(divergence.values())
    if total == 0:
        return {}
    return {name: divergence[name] / total for name in sorted(divergence, key=lambda name: -divergence[name])}


def _axes(space: SearchSpace) -> list[tuple[str, int, Callable[[float], int]]]:
    """Parameters that are not fixed: name, points of its grid, and the way from a value to one of them."""
    numbers: dict[str, tuple[tuple[float, float], int, Callable[[float], float]]] = {
        "depth": (space.depth, space.depth[1] - space.depth[0] + 1, float),
        "width": (space.width, space.width[1] - space.width[0] + 1, float),
        "lr": (space.lr, _GRID, math.log),
    }
    axes = []
    for name, (bounds, points, scale) in numbers.items():
        if bounds[0] < bounds[1]:
            points = min(points, _GRID)
            low, high = scale(bounds[0]), scale(bounds[1])
            axes.append((name, points, _rounding(scale, low, (high - low) / (points - 1), points)))
    if len(space.batch_size) > 1:
        axes.append(("batch_size", len(space.batch_size), lambda value: space.batch_size.index(int(value))))
    return axes


def _rounding(scale: Callable[[float], float], low: float, step: float, points: int) -> Callable[[float], int]:
    """A value's nearest point of a grid; of two equally near ones the lower."""
    return lambda value: min(max(math.ceil((scale(value) - low) / step - 0.5), 0), points - 1)


def _choice_density(count_G: NDArray[np.int64]) -> Values:
    """A kernel for each choice that occurs, and the prior: all have a little of every choice."""
    kernels = np.append(np.flatnonzero(count_G), -1)
    weight_K = np.append(count_G[kernels[:-1]], _PRIOR)
    kernel_KG = np.full((len(kernels), len(count_G)), _PRIOR / len(kernels))
    kernel_KG[np.arange(len(kernels) - 1), kernels[:-1]] += 1
    kernel_KG /= kernel_KG.sum(axis=1, keepdims=True)
    return np.asarray(weight_K / weight_K.sum() @ kernel_KG)


def _grid_density(count_G: NDArray[np.int64]) -> Values:
    """Normal kernels on the points that occur, cut off at the grid's ends, with Scott's bandwidth; and the prior."""
    points = len(count_G)
    at_K = np.flatnonzero(count_G)
    count_K = count_G[at_K]
    total, cumulated_K = int(count_K.sum()), np.cumsum(count_K)
    mean = at_K @ count_K / total
    deviation = math.sqrt((at_K - mean) ** 2 @ count_K / max(1, total - 1))
    first = np.searchsorted(cumulated_K, total // 4, side="left")
    third = min(int(np.searchsorted(cumulated_K, total * 3 // 4, side="right")), len(at_K) - 1)
    width = max(1.059 * min((at_K[third] - at_K[first]) / 1.34, deviation) * total**-0.2, _NARROWEST)

    centre_K = np.append(at_K, (points - 1) / 2)
    width_K = np.append(np.full(len(at_K), width), points)
    edge = (np.arange(points + 1) - 0.5 - centre_K[:, None]) / width_K[:, None]
    cumulative = np.array([[math.erf(z / math.sqrt(2)) for z in row] for row in edge.tolist()])
    kernel_KG = np.diff(cumulative, axis=1) / (cumulative[:, -1:] - cumulative[:, :1])
    weight_K = np.append(count_K, _PRIOR)
    return np.asarray(weight_K / weight_K.sum() @ kernel_KG)
