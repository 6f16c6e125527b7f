"""The plane of a decision boundary: two features, one feature and its probabilities, or a projection of many features.

Shapes: N rows, F features, C classes, G grid points (`grid * grid`, first row at the top).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from insects.encoder import Encoder
from insects.mlp import Floats
from insects.plots.painter import PALEST, STRONGEST, Painter, finer, stretched
from insects.plots.principal import principal_plane, row_blocks
from insects.plots.style import Pixels, class_colours, drawable
from insects.tables.associations import anova_f, most_telling

Predict = Callable[[Floats], Floats]
"""Rows `(N, F)` to logits `(N, C)`."""

PAINTED = 160
"""Fewest points along a side that get a colour; the colours are then stretched to pixels."""
COARSE_GRID = 33
"""Points along a side at which the network is asked for a thumbnail."""
GRID_NUMBERS = 4_000_000
"""Most numbers (points times features) of a grid; it bounds the time of networks with many features."""
PROJECTED_ROWS = 600
"""Most rows from which principal components are computed."""
LARGEST = float(np.finfo(np.float32).max)
"""The largest number that is drawn."""

_STRIP = 0.22  # share of the 1-D figure below the probabilities, where the rows are


class Plane(Protocol):
    """What the axes of a figure show, and how rows and a model's decision are drawn there.

    Attributes:
        xlim: Limits of the x axis, in its units.
        ylim: Limits of the y axis.
        xlabel: Name of the x axis.
        ylabel: Name of the y axis.
        kind: What the map shows, for the line below the title.
    """

    xlim: tuple[float, float]
    ylim: tuple[float, float]
    xlabel: str
    ylabel: str
    kind: str

    def points(self, x_NF: Floats) -> Floats:
        """Standardized rows `(N, F)` to places `(N, 2)` in the units of the axes."""

    def paint(self, predict: Predict, width: int, height: int) -> Pixels:
        """The map of a model's decision.

        Args:
            predict: Standardized rows `(N, F)` to logits `(N, C)`.
            width: Pixels.
            height: Pixels.

        Returns:
            `(height, width, 3)`, first row at the top.
        """


def plane_for(encoder: Encoder, x_NF: Floats, classes: int, of: str = "") -> Plane:
    """The plane for data with so many features: as they are up to two numbers, projected beyond.

    Args:
        encoder: What made the network's inputs.
        x_NF: `(N, F)` float32, inputs of the rows that decide the limits.
        classes: Number of classes.
        of: What the principal components are of, for the names of the axes; by default the number of features.
    """
    if encoder.inputs == 1:
        return OneFeature(encoder.input_names[0], x_NF, encoder.mean, encoder.std, classes)
    if encoder.is_plain and encoder.inputs == 2:
        return TwoFeatures(encoder.names, x_NF, encoder.mean, encoder.std, classes)
    return Projection(x_NF, classes, of or f"{len(encoder.names):,} features")


def standardized(raw_NF: Floats, mean_F: Floats, std_F: Floats) -> Floats:
    """Unstandardized rows `(N, F)`, standardized."""
    # float64, because the difference of two float32 may be too large for one.
    x_NF = raw_NF.astype(np.float64)
    x_NF -= mean_F
    x_NF /= std_F
    return x_NF.clip(-LARGEST, LARGEST, out=x_NF).astype(np.float32)


def raw(x_NF: Floats, mean_F: Floats, std_F: Floats) -> Floats:
    """Standardized rows `(N, F)` in the units of the data; numbers beyond float32 become its largest one."""
    raw_NF = x_NF.astype(np.float64)
    raw_NF *= std_F
    raw_NF += mean_F
    return raw_NF.clip(-LARGEST, LARGEST, out=raw_NF).astype(np.float32)


def robust_limits(values_N: Floats) -> tuple[float, float]:
    """Axis limits that contain all values, or if a few lie far out, all others. They fit into float32."""
    # A value is far out if it is half the spread of the inner 98 % beyond their ends.
    inner_low, inner_high = np.quantile(values_N.astype(np.float64), (0.01, 0.99)).tolist()
    spread = inner_high - inner_low
    low = max(float(values_N.min()), inner_low - 0.5 * spread)
    high = min(float(values_N.max()), inner_high + 0.5 * spread)
    margin = 0.05 * (high - low) or max(1.0, 1e-3 * abs(high))
    return max(low - margin, -LARGEST), min(high + margin, LARGEST)


@dataclass
class _Flat:
    """A plane along two straight directions in the space of the standardized rows."""

    painter: Painter
    xlim: tuple[float, float]
    ylim: tuple[float, float]
    xlabel: str
    ylabel: str
    kind: str
    grid: int
    features: int
    rows: dict[int, Floats] = field(default_factory=dict)  # standardized rows of a small grid, by `grid`

    def inverse(self, points_G2: Floats) -> Floats:
        """Points `(G, 2)` in the units of the axes to standardized rows `(G, F)`."""
        raise NotImplementedError

    def paint(self, predict: Predict, width: int, height: int) -> Pixels:
        """See `Plane`."""
        side = max(width, height)
        grid = COARSE_GRID if side < PAINTED else self.grid
        logits_GC = np.concatenate([predict(rows) for rows in self._grid_rows(grid)])
        logits_CHW = np.ascontiguousarray(logits_GC.T, np.float32).reshape(-1, grid, grid)
        while logits_CHW.shape[1] < min(PAINTED, side):
            logits_CHW = finer(logits_CHW)
        return stretched(self.painter.colours(logits_CHW), width, height)

    def _grid_rows(self, grid: int) -> Iterator[Floats]:
        """Blocks of the grid's standardized rows. A grid of a single block is kept for the next call."""
        if grid in self.rows:
            yield self.rows[grid]
            return
        x, y = np.linspace(*self.xlim, grid), np.linspace(*self.ylim[::-1], grid)
        points_G2 = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)
        blocks = row_blocks(len(points_G2), self.features)
        for block in blocks:
            rows = np.ascontiguousarray(self.inverse(points_G2[block]), np.float32)
            if len(blocks) == 1:
                self.rows[grid] = rows
            yield rows


class TwoFeatures(_Flat):
    """Two features, in their own units."""

    def __init__(self, features: tuple[str, ...], x_NF: Floats, mean_F: Floats, std_F: Floats, classes: int) -> None:
        self.mean_F, self.std_F = mean_F, std_F
        points_N2 = self.points(x_NF)
        labels = [drawable(name, 40) for name in features]
        limits = robust_limits(points_N2[:, 0]), robust_limits(points_N2[:, 1])
        super().__init__(
            Painter(classes), *limits, labels[0], labels[1], "decision, paler where less certain", grid_points(2), 2
        )

    def points(self, x_NF: Floats) -> Floats:
        """See `Plane`."""
        return raw(x_NF, self.mean_F, self.std_F)

    def inverse(self, points_G2: Floats) -> Floats:
        """Standardized features of the points."""
        return standardized(points_G2, self.mean_F, self.std_F)


class Projection(_Flat):
    """The plane of the first two principal components of the standardized rows, or of a sample of them."""

    def __init__(self, x_NF: Floats, classes: int, of: str) -> None:
        self.centre_F, self.directions_2F, shares = principal_plane(sample(x_NF, PROJECTED_ROWS))
        points = self.points(x_NF)
        super().__init__(
            Painter(classes),
            robust_limits(points[:, 0]),
            robust_limits(points[:, 1]),
            f"PC 1 of {of} ({shares[0]:.0%} of variance)".replace("%", " %"),
            f"PC 2 of {of} ({shares[1]:.0%} of variance)".replace("%", " %"),
            "ground: model on this plane, points lie off it",
            grid_points(x_NF.shape[1]),
            x_NF.shape[1],
        )

    def points(self, x_NF: Floats) -> Floats:
        """See `Plane`."""
        parts = [
            np.asarray((x_NF[block] - self.centre_F) @ self.directions_2F.T, np.float32)
            for block in row_blocks(*x_NF.shape)
        ]
        return np.concatenate(parts)

    def inverse(self, points_G2: Floats) -> Floats:
        """The rows that lie in the plane at the points."""
        return np.asarray(self.centre_F + points_G2 @ self.directions_2F, np.float32)


class TwoColumns(_Flat):
    """Two number columns in their own units.

    Every other column is held at the training median or its most frequent level.

    Attributes:
        shows_all: Whether there are no other columns.

    Args:
        encoder: What makes the network's inputs.
        columns: Positions of the two columns.
        raw_NK: `(N, K)` coded rows, which decide the limits.
        classes: Number of classes.
        encode: Makes what the model takes of coded rows.
    """

    def __init__(
        self,
        encoder: Encoder,
        columns: tuple[int, int],
        raw_NK: Floats,
        classes: int,
        encode: Callable[[Floats], Floats],
    ) -> None:
        self._columns = np.array(columns, np.intp)
        self._held_K, self._encode = _typical(encoder, raw_NK), encode
        self.shows_all = len(encoder.columns) == 2
        points_N2 = self.points(raw_NK)
        others = len(encoder.columns) - 2
        held = f"other {others:,} columns at their median or most frequent level"
        kind = held if others else "decision, paler where less certain"
        names = [drawable(encoder.names[column], 40) for column in self._columns]
        limits = robust_limits(points_N2[:, 0]), robust_limits(points_N2[:, 1])
        super().__init__(
            Painter(classes), *limits, names[0], names[1], kind, grid_points(encoder.inputs), encoder.inputs
        )

    def points(self, x_NF: Floats) -> Floats:
        """See `Plane`, but of coded rows `(N, K)`. A missing number is drawn at the median."""
        points_N2 = x_NF[:, self._columns]
        return np.where(np.isnan(points_N2), self._held_K[self._columns], points_N2)

    def inverse(self, points_G2: Floats) -> Floats:
        """The network's inputs at the points."""
        raw_GK = np.tile(self._held_K, (len(points_G2), 1))
        raw_GK[:, self._columns] = points_G2
        return self._encode(raw_GK)


def telling_columns(encoder: Encoder, raw_NK: Floats, y_N: NDArray[np.integer], classes: int) -> tuple[int, int] | None:
    """The two number columns that tell the classes apart best; None if `plane_for` shows them, or there are not two.

    Args:
        encoder: What makes the network's inputs.
        raw_NK: `(N, K)` coded rows.
        y_N: `(N,)` their classes.
        classes: Number of classes.
    """
    numbers = encoder.numbers
    is_shown = encoder.is_plain and encoder.inputs <= 2
    if is_shown or len(numbers) < 2:
        return None
    telling = most_telling(anova_f(raw_NK[:, numbers].astype(np.float64), y_N, classes), 2)
    chosen = np.concatenate([telling, np.setdiff1d(np.arange(len(numbers)), telling)])[:2]
    first, second = numbers[np.sort(chosen)].tolist()
    return first, second


def _typical(encoder: Encoder, raw_NK: Floats) -> Floats:
    """A coded row: of each number column what fills its gaps, of each category the most frequent level."""
    typical_K = np.full(len(encoder.columns), np.nan, np.float32)
    typical_K[encoder.numbers] = encoder.fill
    for one_hot in encoder.one_hots:
        code_N = raw_NK[:, one_hot.column]
        known = code_N[~np.isnan(code_N)].astype(np.intp)
        if len(known):
            typical_K[one_hot.column] = np.bincount(known).argmax()
    return typical_K


class OneFeature:
    """One feature along x, the stacked probabilities of the classes along y, and a strip of rows below them."""

    ylabel = "probability, stacked by class"
    kind = "probability of each class"
    ylim = (-_STRIP / (1 - _STRIP), 1.0)

    def __init__(self, feature: str, x_N1: Floats, mean_F: Floats, std_F: Floats, classes: int) -> None:
        self.mean_F, self.std_F = mean_F, std_F
        self.xlim = robust_limits(raw(x_N1, mean_F, std_F)[:, 0])
        self.xlabel = drawable(feature, 40)
        strength = (PALEST + STRONGEST) / 2
        self._colours = np.round(255 - (255 - class_colours(classes).astype(float)) * strength).astype(np.uint8)

    def points(self, x_N1: Floats) -> Floats:
        """See `Plane`; heights within the strip are random, from a fixed seed."""
        jitter = np.random.Generator(np.random.PCG64(0)).random(len(x_N1), dtype=np.float32)
        height = np.float32(self.ylim[0]) * (np.float32(0.12) + np.float32(0.76) * jitter)
        return np.stack([raw(x_N1, self.mean_F, self.std_F)[:, 0], height], axis=1)

    def paint(self, predict: Predict, width: int, height: int) -> Pixels:
        """See `Plane`."""
        x_W1 = np.linspace(*self.xlim, width, dtype=np.float32)[:, None]
        logits_WC = predict(standardized(x_W1, self.mean_F, self.std_F))
        shifted = np.nan_to_num(logits_WC - logits_WC.max(axis=1, keepdims=True), nan=0.0)
        weight = np.exp(shifted)
        stacked_WC = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
        level_H = (np.arange(round(height * (1 - _STRIP)))[::-1] + 0.5) / round(height * (1 - _STRIP))
        # The class at a height is the first whose stacked probability reaches it.
        top_HW = (stacked_WC.T[None, :-1] < level_H[:, None, None]).sum(axis=1)
        pixels = np.full((height, width, 3), 255, np.uint8)
        pixels[: len(level_H)] = self._colours[top_HW]
        return pixels


def sample(x_NF: NDArray[np.float32], rows: int) -> NDArray[np.float32]:
    """At most `rows` rows, in order, chosen from a fixed seed."""
    return x_NF if len(x_NF) <= rows else x_NF[sample_index(len(x_NF), rows)]


def sample_index(total: int, rows: int) -> NDArray[np.int64]:
    """Indices, increasing, of at most `rows` of `total` rows, chosen from a fixed seed."""
    if total <= rows:
        return np.arange(total)
    return np.sort(np.random.Generator(np.random.PCG64(0)).choice(total, rows, replace=False))


def grid_points(features: int) -> int:
    """Points along a side at which the network is asked, fewer for many features.

    With 51 points and interpolation, 0.14 % of the pixels of a spiral get another class than with a point per pixel.
    """
    return int(np.clip(np.sqrt(GRID_NUMBERS / features), 31, 51))
