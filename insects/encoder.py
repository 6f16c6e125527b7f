"""The encoder: coded rows of a table to the inputs of a network. It is fitted on training rows and changes no more.

A coded row is a row of float32: of a number column the number, of a category column the number of its level, NaN where
the cell is missing. The inputs are, in this order:

1. the number columns, gaps filled with the median, scaled;
2. for each number column with gaps in the training rows 1 where the cell is missing, else 0;
3. for each category column a 1 at its level and 0 elsewhere. A level or a gap that no training row has is all zeros.

Under `standard` scaling a table of numbers without gaps is only standardized, as are the features of images.

Shapes: N rows, K coded columns, V of them numbers, F inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats
from insects.scaling import KINDS, Scaling

_NUMBERS_AT_ONCE = 1 << 20
"""Numbers converted to float64 at a time: 8 MB."""


@dataclass(frozen=True)
class CodedColumn:
    """A column of coded rows.

    Attributes:
        name: Its name.
        levels: Names of its levels, by their numbers; the next number stands for every other level. None: a number.
    """

    name: str
    levels: tuple[str, ...] | None = None


@dataclass(frozen=True)
class OneHot:
    """The inputs of a category column.

    Attributes:
        column: The position of the column.
        levels: Number of levels with an input; a code from here on is all zeros.
        missing: Whether a missing cell has an input, after those of the levels.
    """

    column: int
    levels: int
    missing: bool

    @property
    def inputs(self) -> int:
        """Number of its inputs."""
        return self.levels + self.missing


@dataclass(frozen=True)
class Encoder:
    """A fitted encoder.

    Attributes:
        columns: K coded columns.
        fill: `(V,)` float32, what takes the place of a missing number.
        gaps: Positions of the number columns whose gaps have an input.
        one_hots: The category columns.
        scaling: What is done to numbers; None: they are standardized only.
        mean: `(F,)` float32; 0 where an input is not standardized.
        std: `(F,)` float32, with ddof 0; 1 where an input is not standardized, or constant.
    """

    columns: tuple[CodedColumn, ...]
    fill: Floats
    gaps: tuple[int, ...]
    one_hots: tuple[OneHot, ...]
    scaling: Scaling | None
    mean: Floats
    std: Floats

    @property
    def inputs(self) -> int:
        """Number of inputs, F."""
        return len(self.mean)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the coded columns."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def numbers(self) -> NDArray[np.intp]:
        """`(V,)`, positions of the number columns."""
        return np.array([place for place, column in enumerate(self.columns) if column.levels is None], np.intp)

    @property
    def is_plain(self) -> bool:
        """Whether rows are only standardized: there are as many inputs as columns, in the same order."""
        return not (self.gaps or self.one_hots or self.scaling)

    @cached_property
    def input_names(self) -> tuple[str, ...]:
        """F names of the inputs."""
        numbers = [self.names[place] for place in self.numbers]
        names = self.scaling.names(numbers) if self.scaling else numbers
        names = [*names, *(f"{self.names[place]} missing" for place in self.gaps)]
        for one_hot in self.one_hots:
            levels = (*(self.columns[one_hot.column].levels or ()), "other")[: one_hot.levels]
            levels += ("missing",) if one_hot.missing else ()
            names += [f"{self.names[one_hot.column]}={level}" for level in levels]
        return tuple(names)

    def transform(self, raw_NK: Floats) -> Floats:
        """Encode rows.

        Args:
            raw_NK: `(N, K)` float32, coded rows. They are not changed.

        Returns:
            `(N, F)` float32, C-contiguous. Numbers that lie too far apart for float32 become infinite.
        """
        is_plain = self.is_plain and not np.isnan(raw_NK).any()
        x_NF = raw_NK.copy() if is_plain else self._unstandardized(raw_NK)
        with np.errstate(over="ignore", invalid="ignore"):  # infinite: the caller decides what it means
            x_NF -= self.mean
            x_NF /= self.std
        return x_NF

    def _unstandardized(self, raw_NK: Floats) -> Floats:
        value_NV = raw_NK[:, self.numbers]
        np.copyto(value_NV, self.fill, where=np.isnan(value_NV))
        x_NF = np.zeros((len(raw_NK), self.inputs), np.float32)
        scaled_NS = self.scaling.transform(value_NV) if self.scaling else value_NV
        place = scaled_NS.shape[1]
        x_NF[:, :place] = scaled_NS
        for column in self.gaps:
            x_NF[:, place] = np.isnan(raw_NK[:, column])
            place += 1
        for one_hot in self.one_hots:
            code_N = raw_NK[:, one_hot.column]
            if one_hot.missing:
                x_NF[:, place + one_hot.levels] = np.isnan(code_N)
            known = np.flatnonzero(code_N < one_hot.levels)  # false for NaN
            x_NF[known, place + code_N[known].astype(np.intp)] = 1
            place += one_hot.inputs
        return x_NF

    def as_dict(self) -> dict[str, Any]:
        """The encoder as a dictionary for JSON; see `from_dict`."""
        return {
            "columns": [
                {"name": c.name} if c.levels is None else {"name": c.name, "levels": list(c.levels)}
                for c in self.columns
            ],
            "fill": self.fill.tolist(),
            "gaps": list(self.gaps),
            "one_hots": [vars(one_hot) for one_hot in self.one_hots],
            "scaling": None if self.scaling is None else {"name": self.scaling.name, **self.scaling.as_dict()},
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Encoder:
        """Read what `as_dict` made.

        Raises:
            KeyError, TypeError, ValueError: The dictionary is not that of an encoder.
        """
        scaling = content["scaling"]
        levels = [column.get("levels") for column in content["columns"]]
        names = [str(column["name"]) for column in content["columns"]]
        return cls(
            columns=tuple(
                CodedColumn(name, None if known is None else tuple(known))
                for name, known in zip(names, levels, strict=True)
            ),
            fill=np.array(content["fill"], np.float32),
            gaps=tuple(content["gaps"]),
            one_hots=tuple(OneHot(**one_hot) for one_hot in content["one_hots"]),
            scaling=None if scaling is None else KINDS[scaling["name"]].from_dict(scaling),
            mean=np.array(content["mean"], np.float32),
            std=np.array(content["std"], np.float32),
        )


def fit_encoder(
    columns: Sequence[CodedColumn], raw_NK: Floats, y_N: NDArray[np.integer], scaling: str = "standard"
) -> Encoder:
    """Fit an encoder on training rows.

    Args:
        columns: K coded columns.
        raw_NK: `(N, K)` float32, the training rows; every number column has a number in some row.
        y_N: `(N,)` their classes.
        scaling: One of `insects.scaling.SCALINGS`.

    Returns:
        The encoder.
    """
    numbers = np.array([place for place, column in enumerate(columns) if column.levels is None], np.intp)
    value_NV = raw_NK[:, numbers]
    missing_NV = np.isnan(value_NV)
    fill = np.nanmedian(value_NV.astype(np.float64), axis=0).astype(np.float32) if len(numbers) else _zeros(0)
    np.copyto(value_NV, fill, where=missing_NV)
    fitted = KINDS[scaling].fit(value_NV, y_N) if scaling != "standard" and len(numbers) else None
    gaps = tuple(numbers[missing_NV.any(axis=0)].tolist())
    one_hots = tuple(
        _one_hot(place, len(column.levels), raw_NK[:, place])
        for place, column in enumerate(columns)
        if column.levels is not None
    )
    if fitted is None:
        mean, std = moments(value_NV)
    else:
        mean, std = _zeros(len(fitted.names([""] * len(numbers)))), _zeros(0)
    others = len(gaps) + sum(one_hot.inputs for one_hot in one_hots)
    mean = np.concatenate([mean, _zeros(others)])
    std = np.concatenate([std, np.ones(len(mean) - len(std), np.float32)])
    return Encoder(tuple(columns), fill, gaps, one_hots, fitted, mean, std)


def standard_encoder(names: Sequence[str], raw_NF: Floats) -> Encoder:
    """Fit an encoder that only standardizes, on training rows without gaps.

    Args:
        names: F names of the columns.
        raw_NF: `(N, F)` float32, the training rows.

    Returns:
        The encoder. Where a later row has a gap, the mean takes its place.
    """
    mean, std = moments(raw_NF)
    return Encoder(number_columns(names), mean, (), (), None, mean, std)


def number_columns(names: Sequence[str]) -> tuple[CodedColumn, ...]:
    """Coded columns of numbers with these names."""
    return tuple(CodedColumn(name) for name in names)


def _one_hot(place: int, levels: int, code_N: Floats) -> OneHot:
    has_others = bool((code_N >= levels).any())  # false for NaN
    return OneHot(place, levels + has_others, bool(np.isnan(code_N).any()))


def _zeros(count: int) -> Floats:
    return np.zeros(count, np.float32)


def moments(x_NF: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation (ddof 0) of each column.

    Args:
        x_NF: `(N, F)` float32 rows.

    Returns:
        Both `(F,)`, computed in float64 and rounded to float32; the standard deviation of a constant column is 1.
    """
    mean_F, std_F = np.empty((2, x_NF.shape[1]), dtype=np.float32)
    step = max(1, _NUMBERS_AT_ONCE // len(x_NF))
    for start in range(0, x_NF.shape[1], step):
        block = slice(start, start + step)
        # NumPy's order of summation depends on the memory layout. With each column contiguous, the moments of a column
        # do not depend on the other columns.
        value_FN = np.ascontiguousarray(x_NF[:, block].T, np.float64)
        constant_F = value_FN.min(axis=1) == value_FN.max(axis=1)  # rounding of the mean would give a tiny std
        mean_F[block] = np.where(constant_F, value_FN[:, 0], value_FN.mean(axis=1))
        std_F[block] = np.where(constant_F, 0, value_FN.std(axis=1))
    std_F[std_F == 0] = 1
    return mean_F, std_F
