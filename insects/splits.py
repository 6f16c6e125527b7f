"""Checked rows (`Table`), what a search trains on (`Splits`), and the way from one to the other (`split`).

Shapes: N rows, F features, C classes.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insects.errors import DataError
from insects.mlp import Floats, Shape
from insects.text import listed, shown

Labels = NDArray[np.int32]
Hashes = NDArray[np.uint64]

_NUMBERS_AT_ONCE = 1 << 20
_VALIDATION = np.uint64(0x76616C6964)  # sets the validation draw apart from the draw of the held-out rows


@dataclass(frozen=True)
class Table:
    """Rows that passed every check.

    features: F distinct column names. classes: C distinct class names, sorted (as numbers where all are whole numbers).
    x: `(N, F)` float32, C-contiguous, finite, as the user gave it. y: `(N,)` int32 in `[0, C)`. source: its name.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    x: Floats
    y: Labels
    source: str

    @property
    def shape(self) -> Shape:
        """Columns and classes."""
        return Shape(len(self.features), len(self.classes))


@dataclass(frozen=True)
class Splits:
    """Training and validation rows, standardized by the training rows' mean and standard deviation.

    train_x: `(N, F)` float32, C-contiguous. train_y: `(N,)` int32. valid_x: `(V, F)`. valid_y: `(V,)`.
    mean, std: `(F,)` float32: `x = (raw - mean) / std`; std is 1 where a column is constant.
    digest: hex SHA-256 of all of this.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    train_x: Floats
    train_y: Labels
    valid_x: Floats
    valid_y: Labels
    mean: Floats
    std: Floats
    digest: str

    @property
    def shape(self) -> Shape:
        """Columns and classes."""
        return Shape(len(self.features), len(self.classes))


def split(
    table: Table,
    *,
    test: Table | None = None,
    test_fraction: float = 0.1,
    valid_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[Splits, Table]:
    """Draw the held-out rows (unless `test` brings them), then the validation rows; the rest is trained on.

    Membership follows from a row's content and `seed` alone: within a class the rows with the lowest hashes are drawn,
    so the order of the rows in the file changes nothing, and rows of a class that are equal in all features stay on one
    side (only a class with fewer distinct rows than parts is cut through equal rows). A part gets
    `round(fraction * rows)` rows, shared among the classes by largest remainder, but of each class at least one row and
    never the last one.

    Args: test_fraction: of the table's rows. valid_fraction: of what is left after that. Both in (0, 1).
    Returns: the splits, rows in order of their hashes, and the held-out rows, not standardized (`test` if given).
    Raises: DataError: a fraction out of bounds, a class with too few rows, a column too spread for float32.
    ValueError: `test` has other features or classes (`insects.tables.labelled.read_rows_like` makes one that has not).
    """
    for name, fraction in (("test", test_fraction), ("validation", valid_fraction)):
        if not 0 < fraction < 1:
            raise DataError(f"the share of {name} rows must be above 0 and below 1, found {fraction}")
    if test is not None and (test.features, test.classes) != (table.features, table.classes):
        raise ValueError("the test table must have the features and classes of the table that is split")
    needed = 3 if test is None else 2
    _check_class_sizes(table, needed)

    hash_N = _row_hashes(table.x, seed)
    order_N = np.lexsort((table.y, hash_N))
    hash_N, y_N = hash_N[order_N], table.y[order_N]
    kept_N = np.ones(len(order_N), dtype=bool)
    if test is None:
        kept_N = ~_draw(hash_N, y_N, test_fraction, parts=needed)
        test = replace(table, x=table.x[order_N[~kept_N]], y=y_N[~kept_N], source=f"held-out rows of {table.source}")
        order_N, hash_N, y_N = order_N[kept_N], hash_N[kept_N], y_N[kept_N]
    # Mixed once more, so that a row's chance of validation does not hang on how near it was to being held out.
    valid_N = _draw(_mix(hash_N ^ _VALIDATION), y_N, valid_fraction, parts=2)

    train_x, valid_x = table.x[order_N[~valid_N]], table.x[order_N[valid_N]]
    mean, std = moments(train_x)
    for x in (train_x, valid_x):
        standardize(x, mean, std, table)
    train_y, valid_y = y_N[~valid_N], y_N[valid_N]
    digest = digest_of((table.features, table.classes), (train_x, train_y, valid_x, valid_y, mean, std))
    return Splits(table.features, table.classes, train_x, train_y, valid_x, valid_y, mean, std, digest), test


def table_digest(table: Table) -> str:
    """Hex SHA-256 of a table's names, classes and rows in their order; its source does not count."""
    return digest_of((table.features, table.classes), (table.x, table.y))


def _check_class_sizes(table: Table, needed: int) -> None:
    counts = np.bincount(table.y, minlength=len(table.classes))
    if len(table.classes) < 2:
        raise DataError(
            f"{table.source}: a search needs at least two classes, found only {listed(table.classes)}; "
            "choose another label column"
        )
    if counts.min() < needed:
        few = int(counts.argmin())
        parts = "training, validation and test" if needed == 3 else "training and validation"
        raise DataError(
            f"{table.source}: a class needs at least {needed} rows to be split into {parts}, "
            f"class {shown(table.classes[few])} has {counts[few]}; add rows or leave the class out"
        )


def _draw(hash_N: Hashes, y_N: Labels, fraction: float, parts: int) -> NDArray[np.bool_]:
    """Which rows form the next part, when `parts` are still to be made of the rows, this one included."""
    counts_C = np.bincount(y_N)
    drawn_N = np.zeros(len(y_N), dtype=bool)
    by_class = np.split(np.lexsort((hash_N, y_N)), np.cumsum(counts_C)[:-1])
    for rows, quota in zip(by_class, _quotas(counts_C, fraction, parts), strict=True):
        drawn_N[rows[_lowest(hash_N[rows], int(quota), parts)]] = True
    return drawn_N


def _quotas(counts_C: NDArray[np.int64], fraction: float, parts: int) -> NDArray[np.int64]:
    """Rows of each class, by largest remainder (ties to the lower class), with one left for each part to come."""
    share_C = np.round(fraction * counts_C, 9)  # 0.29 * 100 is 28.999999999999996
    quotas_C: NDArray[np.int64] = np.clip(np.floor(share_C).astype(np.int64), 1, counts_C - (parts - 1))
    missing = math.floor(fraction * counts_C.sum() + 0.5) - int(quotas_C.sum())
    open_C = np.flatnonzero(quotas_C < counts_C - (parts - 1))
    largest = open_C[np.argsort(quotas_C[open_C] - share_C[open_C], kind="stable")]
    quotas_C[largest[: max(missing, 0)]] += 1
    return quotas_C


def _lowest(hash_N: Hashes, quota: int, parts: int) -> NDArray[np.intp]:
    """Positions of the `quota` lowest of the sorted hashes; of equal rows all or none, if that leaves every part some.

    Groups of equal rows are taken in order of their hash, passing over those that are too large for what is left of
    the quota; if all are too large, the smallest is taken.
    """
    starts = np.flatnonzero(np.concatenate(([True], hash_N[1:] != hash_N[:-1])))
    spare = len(starts) - (parts - 1)
    if spare < 1 or (len(starts) == len(hash_N)):
        return np.arange(quota)
    sizes = np.diff(np.append(starts, len(hash_N)))
    taken: list[int] = []
    left = quota
    for group in np.flatnonzero(sizes <= quota).tolist():
        if left and len(taken) < spare and sizes[group] <= left:
            taken.append(group)
            left -= int(sizes[group])
    if not taken:
        taken = [int(sizes.argmin())]
    return np.flatnonzero(np.isin(np.repeat(np.arange(len(starts)), sizes), taken))


def _row_hashes(x_NF: Floats, seed: int) -> Hashes:
    """64 bits a row: the float32 bits of each column in turn, mixed into a state that begins with the seed."""
    state_N = _mix(np.full(len(x_NF), seed % 2**64, dtype=np.uint64))
    for column in range(x_NF.shape[1]):
        value_N = x_NF[:, column] + np.float32(0)  # makes -0.0 the same as 0.0
        state_N = _mix(state_N ^ value_N.view(np.uint32))
    return state_N


def _mix(state_N: Hashes) -> Hashes:
    """One step of SplitMix64 (Steele, Lea and Flood, 2014, doi:10.1145/2660193.2660195): a bijection of 64 bits."""
    mixed_N = state_N + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed_N ^= mixed_N >> np.uint64(shift)
        mixed_N *= np.uint64(factor)
    mixed_N ^= mixed_N >> np.uint64(31)
    return mixed_N


def moments(x_NF: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation (ddof 0) of each column, in float64, some columns at a time, rounded to float32."""
    mean_F, std_F = np.empty((2, x_NF.shape[1]), dtype=np.float32)
    step = max(1, _NUMBERS_AT_ONCE // len(x_NF))
    for start in range(0, x_NF.shape[1], step):
        block = slice(start, start + step)
        # A column as a contiguous row is summed as if it were alone: its moments do not hang on the others'.
        value_FN = np.ascontiguousarray(x_NF[:, block].T, np.float64)
        constant_F = value_FN.min(axis=1) == value_FN.max(axis=1)  # rounding in the mean would leave a tiny deviation
        mean_F[block] = np.where(constant_F, value_FN[:, 0], value_FN.mean(axis=1))
        std_F[block] = np.where(constant_F, 0, value_FN.std(axis=1))
    std_F[std_F == 0] = 1
    return mean_F, std_F


def standardize(x_NF: Floats, mean_F: Floats, std_F: Floats, table: Table) -> None:
    with np.errstate(over="ignore"):  # found just below
        x_NF -= mean_F
        x_NF /= std_F
    if not np.isfinite(x_NF).all():
        column = int(np.argmin(np.isfinite(x_NF).all(axis=0)))
        raise DataError(
            f"{table.source}: column {shown(table.features[column])} must fit into float32 when standardized, but its "
            f"values lie too far apart (mean {mean_F[column]:g}, standard deviation {std_F[column]:g}); rescale it"
        )


def digest_of(names: tuple[tuple[str, ...], ...], arrays: tuple[NDArray[Any], ...]) -> str:
    head = json.dumps([names, [(array.dtype.name, array.shape) for array in arrays]])
    sha256 = hashlib.sha256(head.encode("ascii"))
    for array in arrays:
        sha256.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return sha256.hexdigest()
