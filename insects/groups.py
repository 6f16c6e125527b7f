"""Splits in which the rows of a group, of one patient for example, stay in one part.

Shapes: N rows, G groups, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insects.errors import DataError
from insects.row_hashes import Hashes
from insects.splits import Labels, Parts, check_class_sizes, check_fractions
from insects.text import listed

_PARTS = ("training", "validation", "test")


def draw_group_parts(
    group_N: NDArray[np.intp],
    hash_N: Hashes,
    y_N: Labels,
    classes: tuple[str, ...],
    source: str,
    *,
    test_fraction: float | None = 0.1,
    valid_fraction: float = 0.2,
) -> Parts:
    """Draw the groups of the test rows, then those of the validation rows; train on the rest.

    Groups are taken in the order of a hash of their rows. A group is taken if it brings the rows of each class nearer
    to the requested share. Unlike in `insects.images.splits`, a group may have rows of several classes, and there may
    be many groups.

    Args:
        group_N: `(N,)`, number of the group of each row.
        hash_N: `(N,)`, hash of each row's content; see `insects.row_hashes.row_hashes`.
        y_N: `(N,)` class numbers.
        classes: C class names.
        source: Name of the table, for messages.
        test_fraction: Share of the rows to draw as test rows, in (0, 1); None: draw none.
        valid_fraction: Share of the remaining rows to draw as validation rows, in (0, 1).

    Returns:
        The parts, each in order of the hashes.

    Raises:
        DataError: A fraction is out of bounds, or a class would be absent from a part.
    """
    check_fractions("rows", 0.5 if test_fraction is None else test_fraction, valid_fraction)
    parts = 2 if test_fraction is None else 3
    check_class_sizes(y_N, classes, source, parts)
    group_N = np.unique(group_N, return_inverse=True)[1]
    groups = int(group_N.max()) + 1
    count_GC = np.zeros((groups, len(classes)))
    np.add.at(count_GC, (group_N, y_N), 1)
    order_G = np.argsort(_sums(group_N, hash_N), kind="stable")

    part_G = np.zeros(groups, np.intp)
    total_C, left = count_GC.sum(axis=0), 1 - (test_fraction or 0)
    for part, share in ((2, test_fraction or 0), (1, left * valid_fraction)):
        free = order_G[part_G[order_G] == 0]
        part_G[free[_nearest(count_GC[free], share * total_C)]] = part
    part_N = part_G[group_N]
    for part, name in enumerate(_PARTS[:parts]):
        absent = np.setdiff1d(np.arange(len(classes)), y_N[part_N == part])
        if len(absent):
            raise DataError(
                f"{source}: every class needs rows of enough groups to be in every part, found no {name} rows of "
                f"{listed([classes[code] for code in absent], limit=5)}; choose another group column",
                parameter="group",
            )
    order_N = np.lexsort((y_N, hash_N))
    return Parts(*(order_N[part_N[order_N] == part] for part in range(3)))


def group_hashes(group_N: NDArray[np.intp], hash_N: Hashes) -> Hashes:
    """A hash of the content of each row's group.

    Args:
        group_N: `(N,)`, number of the group of each row.
        hash_N: `(N,)`, hash of each row's content.

    Returns:
        `(N,)`, equal for the rows of a group.
    """
    group_N = np.unique(group_N, return_inverse=True)[1]
    return _sums(group_N, hash_N)[group_N]


def _sums(group_N: NDArray[np.intp], hash_N: Hashes) -> Hashes:
    """The sum of the hashes of each group, `(G,)`: it does not depend on the order of the rows."""
    hash_G = np.zeros(int(group_N.max()) + 1, np.uint64)
    np.add.at(hash_G, group_N, hash_N)
    return hash_G


def _nearest(count_GC: NDArray[np.float64], wanted_C: NDArray[np.float64]) -> list[int]:
    """Positions of groups whose rows together are near the wanted number of each class, taken in their order."""
    taken, lacking_C = [], wanted_C
    for group, count_C in enumerate(count_GC):
        rest_C = lacking_C - count_C
        if rest_C @ rest_C < lacking_C @ lacking_C:
            taken.append(group)
            lacking_C = rest_C
    return taken
