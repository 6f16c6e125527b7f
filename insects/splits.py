"""A checked table and its split into training, validation and test rows.

Shapes: N rows (V in validation), K coded columns, F network inputs, C classes. A table of numbers has one input for
each column.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insects.encoder import Encoder, standard_encoder
from insects.errors import DataError
from insects.mlp import Floats, Shape
from insects.row_hashes import Hashes, mix, row_hashes
from insects.text import counted, listed, shown

Labels = NDArray[np.int32]

_VALIDATION = np.uint64(0x76616C6964)  # "valid" in ASCII: makes the validation draw independent of the test draw


@dataclass(frozen=True)
class Table:
    """Labelled rows that passed every check.

    Attributes:
        features: K distinct column names.
        classes: C distinct class names, sorted, as numbers if all of them are whole numbers.
        x: `(N, K)` float32, C-contiguous coded rows (see `insects.encoder`): NaN where a cell is missing, else finite.
        y: `(N,)` int32, class numbers in `[0, C)`.
        source: Name of the file, for messages.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    x: Floats
    y: Labels
    source: str


@dataclass(frozen=True)
class Splits:
    """Training and validation rows as inputs of a network, made by an encoder that was fitted on the training rows.

    Attributes:
        features: K names of the coded columns.
        classes: C class names.
        train_x: `(N, F)` float32, C-contiguous.
        train_y: `(N,)` int32, class numbers in `[0, C)`.
        valid_x: `(V, F)` float32, C-contiguous.
        valid_y: `(V,)` int32.
        encoder: What made the inputs.
        digest: Hex SHA-256 of all of this.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    train_x: Floats
    train_y: Labels
    valid_x: Floats
    valid_y: Labels
    encoder: Encoder
    digest: str

    @property
    def shape(self) -> Shape:
        """Number of inputs and of classes."""
        return Shape(self.encoder.inputs, len(self.classes))


@dataclass(frozen=True)
class Parts:
    """Positions of the rows of each part, in the order in which they are used.

    Attributes:
        train: Training rows.
        valid: Validation rows.
        test: Test rows; empty if they come from another table.
    """

    train: NDArray[np.intp]
    valid: NDArray[np.intp]
    test: NDArray[np.intp]


def split(
    table: Table,
    *,
    test: Table | None = None,
    test_fraction: float = 0.1,
    valid_fraction: float = 0.2,
    seed: int = 0,
) -> tuple[Splits, Table]:
    """Divide a table of numbers without gaps into parts by `draw_parts`, and standardize it.

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
        ValueError: `test` has other features or classes.

    Examples:
        >>> from insects.spiral import builtin_tables
        >>> splits, test = split(builtin_tables()[0])
        >>> len(splits.train_y), len(splits.valid_y), len(test.y)
        (864, 216, 120)
    """
    if test is not None and (test.features, test.classes) != (table.features, table.classes):
        raise ValueError("the test table must have the features and classes of the table that is split")
    features_N = row_hashes([table.x[:, column] for column in range(table.x.shape[1])], len(table.y), seed)
    parts = draw_parts(
        content_hashes(features_N, table.y, table.classes),
        table.y,
        table.classes,
        table.source,
        test_fraction=test_fraction if test is None else None,
        valid_fraction=valid_fraction,
    )
    return standardized_splits(table, parts.train, parts.valid), test or held_out(table, parts)


def draw_parts(
    hash_N: Hashes,
    y_N: Labels,
    classes: tuple[str, ...],
    source: str,
    *,
    test_fraction: float | None = 0.1,
    valid_fraction: float = 0.2,
) -> Parts:
    """Draw the test rows, then the validation rows; train on the rest.

    Within a class the rows with the lowest hashes are drawn. So the order of the rows in the file changes nothing, and
    equal rows of a class stay in one part (unless the class has fewer distinct rows than there are parts). A part gets
    `round(fraction * rows)` rows, divided among the classes by largest remainder. Every class has at least one row in
    every part.

    Args:
        hash_N: `(N,)`, hash of each row's content; see `content_hashes`.
        y_N: `(N,)` class numbers.
        classes: C class names.
        source: Name of the table, for messages.
        test_fraction: Share of the rows to draw as test rows, in (0, 1); None: draw none.
        valid_fraction: Share of the remaining rows to draw as validation rows, in (0, 1).

    Returns:
        The parts, each in order of the hashes.

    Raises:
        DataError: A fraction is out of bounds, or a class has too few rows.
    """
    check_fractions("rows", 0.5 if test_fraction is None else test_fraction, valid_fraction)
    needed = 2 if test_fraction is None else 3
    check_class_sizes(y_N, classes, source, needed)

    order_N = np.lexsort((y_N, hash_N))
    hash_N, y_N = hash_N[order_N], y_N[order_N]
    test = np.empty(0, np.intp)
    if test_fraction is not None:
        test_N = _draw(hash_N, y_N, test_fraction, parts=needed)
        test = order_N[test_N]
        order_N, hash_N, y_N = order_N[~test_N], hash_N[~test_N], y_N[~test_N]
    # The remaining rows all have high hashes. Mixing once more makes the second draw independent of the first.
    valid_N = _draw(mix(hash_N ^ _VALIDATION), y_N, valid_fraction, parts=2)
    return Parts(order_N[~valid_N], order_N[valid_N], test)


def content_hashes(hash_N: Hashes, y_N: Labels, classes: tuple[str, ...], *, equal_apart: bool = False) -> Hashes:
    """Hashes of the features and the class of each row.

    Rows with equal features but other classes get independent hashes: with one hash, all of them would be in one part.

    Args:
        hash_N: `(N,)`, hash of each row's features.
        y_N: `(N,)` class numbers.
        classes: C class names, which count rather than the numbers: a further class changes no other row's hash.
        equal_apart: Whether equal rows of a class get independent hashes too; see `insects.tables.prepare.rows_repeat`.

    Returns:
        `(N,)` hashes.
    """
    name_C = np.array(
        [int(hashlib.sha256(json.dumps(name).encode()).hexdigest()[:16], 16) for name in classes], np.uint64
    )
    content_N = mix(hash_N ^ mix(name_C)[y_N])
    return _numbered_repeats(content_N) if equal_apart else content_N


def _numbered_repeats(hash_N: Hashes) -> Hashes:
    """Hashes of content and the number of the row among its equals."""
    order_N = np.argsort(hash_N, kind="stable")
    is_first_N = np.append(True, np.diff(hash_N[order_N]) != 0)
    place_N = np.arange(len(order_N))
    number_N = place_N - np.maximum.accumulate(np.where(is_first_N, place_N, 0))
    mixed_N = np.empty_like(hash_N)
    mixed_N[order_N] = mix(hash_N[order_N] ^ mix(number_N.astype(np.uint64)))
    return mixed_N


def held_out(table: Table, parts: Parts) -> Table:
    """The test rows of a table."""
    return replace(table, x=table.x[parts.test], y=table.y[parts.test], source=f"held-out rows of {table.source}")


def standardized_splits(table: Table, train: NDArray[np.intp], valid: NDArray[np.intp]) -> Splits:
    """Splits of a table of numbers without gaps, standardized by its training rows; see `encoded_splits`."""
    return encoded_splits(table, train, valid, standard_encoder(table.features, table.x[train]))


def encoded_splits(table: Table, train: NDArray[np.intp], valid: NDArray[np.intp], encoder: Encoder) -> Splits:
    """Splits of a table from the positions of their rows.

    Args:
        table: The table.
        train: Positions of the training rows, in the order to keep.
        valid: Positions of the validation rows, in the order to keep.
        encoder: Makes the inputs of the network.

    Returns:
        The splits.

    Raises:
        DataError: A column overflows float32.
    """
    train_x, valid_x = encoder.transform(table.x[train]), encoder.transform(table.x[valid])
    for x in (train_x, valid_x):
        _check_finite(x, encoder, table.source)
    train_y, valid_y = table.y[train], table.y[valid]
    names: tuple[tuple[str, ...], ...] = (table.features, table.classes)
    if not encoder.is_plain:
        names += ((json.dumps(encoder.as_dict(), sort_keys=True),),)
    digest = digest_of(names, (train_x, train_y, valid_x, valid_y, encoder.mean, encoder.std))
    return Splits(table.features, table.classes, train_x, train_y, valid_x, valid_y, encoder, digest)


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


def check_class_sizes(y_N: Labels, classes: tuple[str, ...], source: str, needed: int) -> None:
    """Check that there are two classes, and enough rows of each to be in every part.

    Args:
        y_N: `(N,)` class numbers.
        classes: C class names.
        source: Name of the table, for messages.
        needed: Number of parts.

    Raises:
        DataError: There are not.
    """
    counts = np.bincount(y_N, minlength=len(classes))
    if len(classes) < 2:
        raise DataError(
            f"{source}: a search needs at least two classes, found only {listed(classes)}; choose another label column",
            parameter="target",
        )
    rare = np.flatnonzero(counts < needed)
    if len(rare):
        parts = "training, validation and test" if needed == 3 else "training and validation"
        found = ", ".join(f"{shown(classes[code])} has {counts[code]}" for code in rare[:5])
        found += f" and {len(rare) - 5} more classes have fewer" if len(rare) > 5 else ""
        raise DataError(
            f"{source}: a class needs at least {needed} rows to be split into {parts}, {found}; add rows, or leave out "
            f"{counted(len(rare), 'class')} with {counted(int(counts[rare].sum()), 'row')}",
            parameter="drop_rare_classes",
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


def _check_finite(x_NF: Floats, encoder: Encoder, source: str) -> None:
    if not np.isfinite(x_NF).all():
        place = int(np.argmin(np.isfinite(x_NF).all(axis=0)))
        raise DataError(
            f"{source}: column {shown(encoder.input_names[place])} must fit into float32 when standardized, but its "
            f"values lie too far apart (mean {encoder.mean[place]:g}, standard deviation {encoder.std[place]:g}); "
            "rescale it"
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
