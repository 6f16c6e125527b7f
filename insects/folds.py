"""Folds of the training and validation rows: each fold is held out once from the training of a network.

Shapes: N training and validation rows, F network inputs, C classes, U units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from insects.row_hashes import Hashes, mix
from insects.splits import Labels, Splits

ALWAYS_TRAINED = -1
"""In place of a fold's number: a row that is never held out, since no other unit has its class."""

FEWEST = 2
"""Folds that there are at least."""

_FOLDS = np.uint64(0x666F6C6473)  # "folds" in ASCII: makes the folds independent of the other draws


@dataclass(frozen=True)
class FoldRows:
    """The training and validation rows of a search, to be divided into folds.

    Attributes:
        splits: The rows. Their encoder serves every fold: it was fitted before, on the training rows of the search.
        units: `(N,)`, first for the training rows, then for the validation rows: equal for rows that stay in one fold.
            A hash of a row's content, or of that of its group.
        grouped: Whether a unit is a group of related rows rather than a row and its copies.
    """

    splits: Splits
    units: Hashes
    grouped: bool

    @property
    def independent_units(self) -> int | None:
        """The number of groups, where rows belong to groups; None: every row stands for itself."""
        return len(np.unique(self.units)) if self.grouped else None

    def draw(self, folds: int) -> NDArray[np.intp]:
        """Draw folds; see `draw_folds`.

        Args:
            folds: The number of folds wanted.

        Returns:
            `(N,)` fold of each row.
        """
        return draw_folds(self.units, np.concatenate([self.splits.train_y, self.splits.valid_y]), folds)


def held_out(splits: Splits, fold_N: NDArray[np.intp], fold: int) -> Splits:
    """Return splits in which the rows of a fold are the validation rows, and all others the training rows.

    Args:
        splits: Training and validation rows.
        fold_N: `(N,)` fold of each row, as `FoldRows.draw` returns them.
        fold: The fold.
    """
    is_valid_N = fold_N == fold
    x_NF = np.concatenate([splits.train_x, splits.valid_x])
    y_N = np.concatenate([splits.train_y, splits.valid_y])
    return replace(
        splits,
        train_x=x_NF[~is_valid_N],
        train_y=y_N[~is_valid_N],
        valid_x=x_NF[is_valid_N],
        valid_y=y_N[is_valid_N],
        digest=f"{splits.digest}/{fold}",
    )


def draw_folds(unit_N: Hashes, y_N: Labels, folds: int) -> NDArray[np.intp]:
    """Divide rows into folds of about equal size, each with its share of every class.

    Units of several rows are dealt first, the largest first, each to the fold that has fewest rows of its classes. The
    single rows of a class then fill the folds up, in the order of their hashes. So the order of the rows in the file
    changes nothing.

    Args:
        unit_N: `(N,)`, hash of each row's unit. Rows of a unit stay in one fold.
        y_N: `(N,)` class numbers.
        folds: The number of folds wanted. If every class has fewer units, there are as many folds as the class with
            most units has, but at least `FEWEST`.

    Returns:
        `(N,)` fold of each row, from 0, or `ALWAYS_TRAINED`.
    """
    hash_U, place_N, size_U = np.unique(mix(unit_N ^ _FOLDS), return_inverse=True, return_counts=True)
    classes = int(y_N.max()) + 1
    pairs = np.unique(place_N * classes + y_N)  # units and classes that meet
    units_C = np.bincount(pairs % classes, minlength=classes)
    folds = max(FEWEST, min(folds, int(units_C.max())))
    alone_U = np.zeros(len(hash_U), np.bool_)
    alone_U[pairs[units_C[pairs % classes] == 1] // classes] = True

    fold_N = np.full(len(y_N), ALWAYS_TRAINED, np.intp)
    rows_FC = np.zeros((folds, classes), np.int64)
    order_N = np.argsort(place_N, kind="stable")
    first_U = np.cumsum(size_U) - size_U
    large = np.flatnonzero((size_U > 1) & ~alone_U)
    for unit in large[np.argsort(-size_U[large], kind="stable")].tolist():
        rows = order_N[first_U[unit] : first_U[unit] + size_U[unit]]
        count_C = np.bincount(y_N[rows], minlength=classes)
        fold = int(np.lexsort((rows_FC.sum(axis=1), rows_FC @ count_C))[0])
        fold_N[rows] = fold
        rows_FC[fold] += count_C
    single_N = (size_U[place_N] == 1) & ~alone_U[place_N]
    for code in range(classes):
        rows = np.flatnonzero(single_N & (y_N == code))
        rows = rows[np.argsort(place_N[rows], kind="stable")]  # units are numbered in the order of their hashes
        dealt = _filling(rows_FC[:, code], rows_FC.sum(axis=1), len(rows))
        fold_N[rows] = dealt
        rows_FC[:, code] += np.bincount(dealt, minlength=folds)
    return fold_N


def _filling(rows_F: NDArray[np.int64], all_F: NDArray[np.int64], count: int) -> NDArray[np.intp]:
    """The folds that `count` rows of a class go to in turn: always the one with fewest rows of it, then of all."""
    order_F = np.argsort(all_F, kind="stable")
    lacking = [(rows, place) for place in range(len(order_F)) for rows in range(rows_F[order_F[place]], rows_F.max())]
    # Until all folds have equally many.
    first = order_F[np.array([place for _, place in sorted(lacking)[:count]], np.intp)]
    return np.concatenate([first, np.resize(order_F, count - len(first))])
