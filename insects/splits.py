"""A checked table and its split into training, validation and test rows.

Shapes: N rows (V in validation), F features, C classes.
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
"""Numbers converted to float64 at a time: 8 MB."""

_VALIDATION = np.uint64(0x76616C6964)  # "valid" in ASCII: makes the validation draw independent of the test draw


@dataclass(frozen=True)
class Table:
    """Labelled rows that passed every check.

    Attributes:
        features: F distinct column names.
        classes: C distinct class names, sorted, as numbers if all of them are whole numbers.
        x: `(N, F)` float32, C-contiguous, finite, unstandardized.
        y: `(N,)` int32, class numbers in `[0, C)`.
        source: Name of the file, for messages.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    x: Floats
    y: Labels
    source: str

    @property
    def shape(self) -> Shape:
        """Number of features and of classes."""
        return Shape(len(self.features), len(self.classes))


@dataclass(frozen=True)
class Splits:
    """Training and validation rows, standardized by the mean and standard deviation of the training rows.

    Attributes:
        features: F column names.
        classes: C class names.
        train_x: `(N, F)` float32, C-contiguous.
        train_y: `(N,)` int32, class numbers in `[0, C)`.
        valid_x: `(V, F)` float32, C-contiguous.
        valid_y: `(V,)` int32.
        mean: `(F,)` float32; `x = (unstandardized - mean) / std`.
        std: `(F,)` float32, with ddof 0; 1 for a constant column.
        digest: Hex SHA-256 of all of this.
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
        """Number of features and of classes."""
        return Shape(len(self.features), len(self.classes))


def split(
    table: Table,
    *,
    test: Table | None = None,
    test_fraction: float = 0.1,
    valid_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[Splits, Table]:
    """Draw the test rows (unless `test` is given), then the validation rows; train on the rest.

    Rows are hashed by their content and `seed`, and within a class those with the lowest hashes are drawn. So the order
    of the rows in the file changes nothing, and equal rows of a class stay in one part (unless the class has fewer
    distinct rows than there are parts). A part gets `round(fraction * rows)` rows, divided among the classes by largest
    remainder. Every class has at least one row in every part.

    Args:
        table: The table to split.
        test: Test rows of another file; None: draw them from `table`.
        test_fraction: Share of the table's rows to draw as test rows, in (0, 1).
        valid_fraction: Share of the remaining rows to draw as validation rows, in (0, 1).
        seed: Seed of the draws.

    Returns:
        The splits, their rows in order of the hashes, and the unstandardized test rows (`test` if given).

    Raises:
        DataError: A fraction is out of bounds, a class has too few rows, or a column overflows float32.
        ValueError: `test` has other features or classes; `insects.tables.labelled.read_rows_like` prevents that.

    Examples:
        >>> from insects.spiral import builtin_tables
        >>> splits, test = split(builtin_tables()[0])
        >>> len(splits.train_y), len(splits.valid_y), len(test.y)
        (864, 216, 120)
    """
    check_fractions("rows", test_fraction, valid_fraction)
    if test is not None and (test.features, test.classes) != (table.features, table.classes):
        raise ValueError("the test table must have the features and classes of the table that is split")
    needed = 3 if test is None else 2
    _check_class_sizes(table, needed)

    hash_N = _row_hashes(table.x, seed)
    order_N = np.lexsort((table.y, hash_N))
    hash_N, y_N = hash_N[order_N], table.y[order_N]
    if test is None:
        test_N = _draw(hash_N, y_N, test_fraction, parts=needed)
        test = replace(table, x=table.x[order_N[test_N]], y=y_N[test_N], source=f"held-out rows of {table.source}")
        order_N, hash_N, y_N = order_N[~test_N], hash_N[~test_N], y_N[~test_N]
    # The remaining rows all have high hashes. Mixing once more makes the second draw independent of the first.
    valid_N = _draw(_mix(hash_N ^ _VALIDATION), y_N, valid_fraction, parts=2)
    return standardized_splits(table, train=order_N[~valid_N], valid=order_N[valid_N]), test


def standardized_splits(table: Table, train: NDArray[np.intp], valid: NDArray[np.intp]) -> Splits:
    """Splits of a table from the positions of their rows.

    Args:
        table: The table.
        train: Positions of the training rows, in the order to keep.
        valid: Positions of the validation rows, in the order to keep.

    Returns:
        The splits, standardized by the training rows.

    Raises:
        DataError: A column overflows float32.
    """
    train_x, valid_x = table.x[train], table.x[valid]
    mean, std = moments(train_x)
    for x in (train_x, valid_x):
        _standardize(x, mean, std, table)
    train_y, valid_y = table.y[train], table.y[valid]
    digest = digest_of((table.features, table.classes), (train_x, train_y, valid_x, valid_y, mean, std))
    return Splits(table.features, table.classes, train_x, train_y, valid_x, valid_y, mean, std, digest)


def check_fractions(unit: str, test_fraction: float, valid_fraction: float) -> None:
    """Check the shares of test and validation rows.

    Args:
        unit: What is split, `rows` or `images`, for the message.
        test_fraction: Share of the test rows.
        valid_fraction: Share of the validation rows.

    Raises:
        DataError: A share is not in (0, 1).
    """
    for name, fraction, parameter in (
        ("test", test_fraction, "test_fraction"),
        ("validation", valid_fraction, "valid_fraction"),
    ):
        if not 0 < fraction < 1:
            raise DataError(
                f"the share of {name} {unit} must be above 0 and below 1, found {fraction}", parameter=parameter
            )


def table_digest(table: Table) -> str:
    """Hex SHA-256 of a table's column names, class names and rows in their order, but not of its source."""
    return digest_of((table.features, table.classes), (table.x, table.y))


def _check_class_sizes(table: Table, needed: int) -> None:
    counts = np.bincount(table.y, minlength=len(table.classes))
    if len(table.classes) < 2:
        raise DataError(
            f"{table.source}: a search needs at least two classes, found only {listed(table.classes)}; "
            "choose another label column",
            parameter="target",
        )
    if counts.min() < needed:
        few = int(counts.argmin())
        parts = "training, validation and test" if needed == 3 else "training and validation"
        raise DataError(
            f"{table.source}: a class needs at least {needed} rows to be split into {parts}, "
            f"class {shown(table.classes[few])} has {counts[few]}; add rows or leave the class out"
        )


def _draw(hash_N: Hashes, y_N: Labels, fraction: float, parts: int) -> NDArray[np.bool_]:
    """Draw one of the `parts` that the rows are still to be divided into; True for its rows."""
    counts_C = np.bincount(y_N)
    drawn_N = np.zeros(len(y_N), dtype=bool)
    by_class = np.split(np.lexsort((hash_N, y_N)), np.cumsum(counts_C)[:-1])
    for rows, quota in zip(by_class, _quotas(counts_C, fraction, parts), strict=True):
        drawn_N[rows[_lowest(hash_N[rows], int(quota), parts)]] = True
    return drawn_N


def _quotas(counts_C: NDArray[np.int64], fraction: float, parts: int) -> NDArray[np.int64]:
    """Rows to draw of each class, by largest remainder (on a tie the lower class), leaving one for each later part."""
    share_C = np.round(fraction * counts_C, 9)  # 0.29 * 100 is 28.999999999999996, and its floor must be 29
    quotas_C: NDArray[np.int64] = np.clip(np.floor(share_C).astype(np.int64), 1, counts_C - (parts - 1))
    missing = math.floor(fraction * counts_C.sum() + 0.5) - int(quotas_C.sum())
    open_C = np.flatnonzero(quotas_C < counts_C - (parts - 1))
    largest = open_C[np.argsort(quotas_C[open_C] - share_C[open_C], kind="stable")]
    quotas_C[largest[: max(missing, 0)]] += 1
    return quotas_C


def _lowest(hash_N: Hashes, quota: int, parts: int) -> NDArray[np.intp]:
    """Positions of about the `quota` lowest of the sorted hashes, where equal rows (equal hashes) stay together.

    Groups of equal rows are taken in order of their hash; a group larger than the rest of the quota is skipped. If all
    groups are larger, the smallest is taken. With fewer groups than parts, rows are taken without regard to groups.
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
    """A 64-bit hash of each row: the float32 bits of every column, mixed into a state that begins with the seed."""
    state_N = _mix(np.full(len(x_NF), seed % 2**64, dtype=np.uint64))
    for column in range(x_NF.shape[1]):
        value_N = x_NF[:, column] + np.float32(0)  # turns -0.0, which has other bits, into 0.0
        state_N = _mix(state_N ^ value_N.view(np.uint32))
    return state_N


def _mix(state_N: Hashes) -> Hashes:
    """One step of SplitMix64, a bijection of 64 bits (Steele, Lea and Flood, 2014, doi:10.1145/2660193.2660195)."""
    mixed_N = state_N + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed_N ^= mixed_N >> np.uint64(shift)
        mixed_N *= np.uint64(factor)
    mixed_N ^= mixed_N >> np.uint64(31)
    return mixed_N


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


def _standardize(x_NF: Floats, mean_F: Floats, std_F: Floats, table: Table) -> None:
    """Standardize rows in place."""
    with np.errstate(over="ignore"):  # checked below
        x_NF -= mean_F
        x_NF /= std_F
    if not np.isfinite(x_NF).all():
        column = int(np.argmin(np.isfinite(x_NF).all(axis=0)))
        raise DataError(
            f"{table.source}: column {shown(table.features[column])} must fit into float32 when standardized, but its "
            f"values lie too far apart (mean {mean_F[column]:g}, standard deviation {std_F[column]:g}); rescale it"
        )


def digest_of(names: tuple[tuple[str, ...], ...], arrays: tuple[NDArray[Any], ...]) -> str:
    """Digest of named data, the same on machines of any byte order.

    Args:
        names: Names, for example of columns and of classes.
        arrays: Arrays, of which type, shape and content count.

    Returns:
        Hex SHA-256.
    """
    head = json.dumps([names, [(array.dtype.name, array.shape) for array in arrays]])
    sha256 = hashlib.sha256(head.encode("ascii"))
    for array in arrays:
        sha256.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return sha256.hexdigest()
