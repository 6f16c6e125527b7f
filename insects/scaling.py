"""What an encoder does to columns of numbers beside standardizing them: quantile, robust and piecewise-linear scaling.

Each scaling is fitted on training rows and maps `(N, V)` values without gaps to `(N, S)` network inputs.
`insects.model` has the same formulas in torch.

Shapes: N rows, V columns of numbers, S scaled inputs, Q knots, B bins of all columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats

SCALINGS = ("standard", "quantile", "robust", "ple")

LARGEST_Z = np.float32(1e18)
"""Largest distance that is squared: the square fits into float32, and the clip is 3 long before."""

MOST_BINS = 32
FEWEST_ROWS_A_BIN = 8
_MOST_KNOTS, _FEWEST_KNOTS, _ROWS_A_KNOT = 1000, 10, 30
_CLIP = 3.0  # of the smooth clip


class Scaling(Protocol):
    """A fitted scaling.

    Attributes:
        name: One of `SCALINGS`.
    """

    @property
    def name(self) -> str: ...

    def names(self, columns: Sequence[str]) -> list[str]:
        """Names of the S inputs made from V columns."""

    def transform(self, x_NV: Floats) -> Floats:
        """Map values `(N, V)` to inputs `(N, S)` float32."""

    def as_dict(self) -> dict[str, Any]:
        """The fitted numbers, ready for JSON."""


@dataclass(frozen=True)
class Robust:
    """Distance from the median in quartile ranges, smoothly clipped to ±3.

    `z = a (x - median)`, then `z / sqrt(1 + (z / 3)**2)` (Holzmüller et al., 2024, arXiv:2407.04491).

    Attributes:
        centre: `(V,)` float32, medians.
        factor: `(V,)` float32, a: `1 / (q75 - q25)`; if that is not finite `2 / (max - min)`; if that neither, 0.
    """

    centre: Floats
    factor: Floats
    name = "robust"

    @classmethod
    def fit(cls, x_NV: Floats, y_N: NDArray[np.integer]) -> Robust:
        """Fit on training rows."""
        low, q25, centre, q75, high = np.quantile(x_NV.astype(np.float64), (0, 0.25, 0.5, 0.75, 1), axis=0)
        with np.errstate(divide="ignore"):
            factor = np.where(q75 > q25, 1 / (q75 - q25), np.where(high > low, 2 / (high - low), 0))
        return cls(centre.astype(np.float32), factor.astype(np.float32))

    def names(self, columns: Sequence[str]) -> list[str]:
        """See `Scaling`."""
        return list(columns)

    def transform(self, x_NV: Floats) -> Floats:
        """See `Scaling`."""
        with np.errstate(over="ignore"):  # infinity is clipped like any other large number
            z_NV = ((x_NV - self.centre) * self.factor).clip(-LARGEST_Z, LARGEST_Z)
        return np.asarray(z_NV / np.sqrt(1 + (z_NV / np.float32(_CLIP)) ** 2), np.float32)

    def as_dict(self) -> dict[str, Any]:
        """See `Scaling`."""
        return {"centre": self.centre.tolist(), "factor": self.factor.tolist()}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Robust:
        """Read what `as_dict` wrote."""
        return cls(np.array(content["centre"], np.float32), np.array(content["factor"], np.float32))


@dataclass(frozen=True)
class Quantile:
    """Ranks among the training rows as normal deviates; values beyond the training rows count as the outermost.

    Attributes:
        knots: `(V, Q)` float32, increasing; the last finite knot is followed by infinity where a column has fewer.
        shares: `(V, Q)` float32, share of training rows below each knot; 1 at infinity.
        tail: Least share, half a training row: shares are clipped to `[tail, 1 - tail]`.
    """

    knots: Floats
    shares: Floats
    tail: float
    name = "quantile"

    @classmethod
    def fit(cls, x_NV: Floats, y_N: NDArray[np.integer]) -> Quantile:
        """Fit on training rows. The number of knots is that of Gorishniy et al. (2024, arXiv:2410.24210)."""
        count = max(min(len(x_NV) // _ROWS_A_KNOT, _MOST_KNOTS), _FEWEST_KNOTS)
        share_Q = np.linspace(0, 1, count)
        knots = np.full((x_NV.shape[1], count), np.inf, np.float32)
        shares = np.ones((x_NV.shape[1], count), np.float32)
        for column, quantiles in enumerate(np.quantile(x_NV.astype(np.float64), share_Q, axis=0).T):
            # Equal knots, of a value that many rows have, become one knot in the middle of their shares.
            distinct, inverse = np.unique(quantiles.astype(np.float32), return_inverse=True)
            knots[column, : len(distinct)] = distinct
            shares[column, : len(distinct)] = np.bincount(inverse, share_Q) / np.bincount(inverse)
        return cls(knots, shares, 0.5 / len(x_NV))

    def names(self, columns: Sequence[str]) -> list[str]:
        """See `Scaling`."""
        return list(columns)

    def transform(self, x_NV: Floats) -> Floats:
        """See `Scaling`."""
        from scipy.special import ndtri

        scaled = np.empty_like(x_NV)
        for column, (knots, shares) in enumerate(zip(self.knots, self.shares, strict=True)):
            known = np.isfinite(knots)
            share_N = np.interp(x_NV[:, column], knots[known], shares[known])
            scaled[:, column] = ndtri(share_N.clip(self.tail, 1 - self.tail))
        return scaled

    def as_dict(self) -> dict[str, Any]:
        """See `Scaling`. JSON has no infinity: each column has its finite knots only."""
        finite = [np.isfinite(knots) for knots in self.knots]
        return {
            "knots": [knots[known].tolist() for knots, known in zip(self.knots, finite, strict=True)],
            "shares": [shares[known].tolist() for shares, known in zip(self.shares, finite, strict=True)],
            "tail": self.tail,
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Quantile:
        """Read what `as_dict` wrote."""
        count = max(map(len, content["knots"]))
        knots = [np.pad(knots, (0, count - len(knots)), constant_values=np.inf) for knots in content["knots"]]
        shares = [np.pad(shares, (0, count - len(shares)), constant_values=1.0) for shares in content["shares"]]
        return cls(np.array(knots, np.float32), np.array(shares, np.float32), content["tail"])


@dataclass(frozen=True)
class PiecewiseLinear:
    """Piecewise-linear encoding: an input for each bin of a column, from 0 at its left edge to 1 at its right edge.

    The edges are the thresholds of a decision tree that predicts the class from the column alone (Gorishniy, Rubachev
    and Babenko, 2022, arXiv:2203.05556). A value beyond the outermost edges goes on along the line of its bin.

    Attributes:
        edges: The edges of the bins of each column, increasing float32 numbers, at least two a column.
    """

    edges: tuple[tuple[float, ...], ...]
    name = "ple"

    @classmethod
    def fit(cls, x_NV: Floats, y_N: NDArray[np.integer]) -> PiecewiseLinear:
        """Fit on training rows and their classes."""
        return cls(tuple(_tree_edges(x_NV[:, column], y_N) for column in range(x_NV.shape[1])))

    @cached_property
    def columns(self) -> NDArray[np.intp]:
        """`(B,)`, the column of each bin."""
        return np.repeat(np.arange(len(self.edges)), [len(edges) - 1 for edges in self.edges])

    @cached_property
    def left(self) -> Floats:
        """`(B,)`, left edges."""
        return np.concatenate([edges[:-1] for edges in self.edges]).astype(np.float32)

    @cached_property
    def width(self) -> Floats:
        """`(B,)`, above 0."""
        return np.concatenate([np.diff(edges) for edges in self.edges]).astype(np.float32)

    @cached_property
    def low(self) -> Floats:
        """`(B,)`, the least value of each input: the first bin of a column has no lower limit."""
        return np.concatenate([[-np.inf, *[0.0] * (len(edges) - 2)] for edges in self.edges]).astype(np.float32)

    @cached_property
    def high(self) -> Floats:
        """`(B,)`, the largest value of each input: the last bin of a column has no upper limit."""
        return np.concatenate([[*[1.0] * (len(edges) - 2), np.inf] for edges in self.edges]).astype(np.float32)

    def names(self, columns: Sequence[str]) -> list[str]:
        """See `Scaling`."""
        return [f"{columns[column]} from {left:g}" for column, left in zip(self.columns, self.left, strict=True)]

    def transform(self, x_NV: Floats) -> Floats:
        """See `Scaling`."""
        share_NB = x_NV[:, self.columns]
        share_NB -= self.left
        with np.errstate(over="ignore"):  # infinity is clipped, or refused where a bin has no end
            share_NB /= self.width
        return np.clip(share_NB, self.low, self.high, out=share_NB)

    def as_dict(self) -> dict[str, Any]:
        """See `Scaling`."""
        return {"edges": [list(edges) for edges in self.edges]}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> PiecewiseLinear:
        """Read what `as_dict` wrote."""
        return cls(tuple(tuple(edges) for edges in content["edges"]))


KINDS: dict[str, type[Robust] | type[Quantile] | type[PiecewiseLinear]] = {
    "robust": Robust,
    "quantile": Quantile,
    "ple": PiecewiseLinear,
}
"""The scalings beside `standard`, which is part of every encoder, by their names."""


def _tree_edges(x_N: Floats, y_N: NDArray[np.integer]) -> tuple[float, ...]:
    """Edges of the bins of a column, increasing as float32; at least two."""
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=MOST_BINS, min_samples_leaf=FEWEST_ROWS_A_BIN, random_state=0)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes")  # is for the caller to judge
        grown = tree.fit(x_N[:, None], y_N).tree_
    inner = grown.threshold[grown.children_left >= 0]
    edges = np.unique(np.concatenate([[x_N.min(), x_N.max()], inner]).astype(np.float32))
    if len(edges) == 1:  # a column of one value and gaps: the bin has width 1, as an encoder's std of 0 becomes 1
        float32 = np.finfo(np.float32)
        width = max(np.float32(1), np.abs(edges[0]) * float32.eps)
        left = min(edges[0], float32.max - width)
        edges = np.array([left, left + width], np.float32)
    return tuple(edges.tolist())
