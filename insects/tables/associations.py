"""Statistics between columns, and between columns and classes, of tables with missing values.

Shapes: N rows, F columns, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ROUNDING = 1e-12
"""Relative rounding error of a sum of squares: smaller variances count as zero."""


def correlations(x_NF: Array) -> Array:
    """Pearson's correlations, each over the rows in which both columns have a value.

    Args:
        x_NF: `(N, F)`; NaN where a value is missing.

    Returns:
        `(F, F)` in [-1, 1]; NaN where one of the two columns is constant.
    """
    known_NF, centred_NF = _centred(x_NF)
    centred_NF /= np.maximum(np.linalg.norm(centred_NF, axis=0), np.finfo(float).tiny)
    count = known_NF.T @ known_NF  # (F, F), rows in which both columns have a value
    sums = centred_NF.T @ known_NF  # sums[i, j]: of column i over the rows in which column j has a value
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = centred_NF.T @ centred_NF - sums * sums.T / count
        variance = np.maximum((centred_NF**2).T @ known_NF - sums**2 / count, 0)
        spread = np.sqrt(variance * variance.T)
        r = np.where(spread > _ROUNDING, covariance / spread, np.nan)
    return np.asarray(np.clip(r, -1, 1))


def anova_f(x_NF: Array, y_N: NDArray[np.integer], classes: int) -> Array:
    """F of a one-way analysis of variance: the variance between the classes over the variance within them.

    Equal to `sklearn.feature_selection.f_classif` where no value is missing. That function accepts no missing values,
    and importing it would add about 1.5 s to a description.

    Args:
        x_NF: `(N, F)`; NaN where a value is missing.
        y_N: `(N,)` class numbers; rows below 0 have no label and do not count.
        classes: Number of classes, C.

    Returns:
        `(F,)`; infinity for a column that is constant within each class, NaN for a constant column.
    """
    labelled = y_N >= 0
    known_NF, centred_NF = _centred(x_NF[labelled])
    member_CN = (y_N[labelled] == np.arange(classes)[:, None]).astype(np.float64)
    count_CF, sum_CF = member_CN @ known_NF, member_CN @ centred_NF  # of each column within each class
    with np.errstate(divide="ignore", invalid="ignore"):
        explained_F = np.where(count_CF > 0, sum_CF**2 / count_CF, 0).sum(axis=0)
        between_F = explained_F - sum_CF.sum(axis=0) ** 2 / count_CF.sum(axis=0)
        square_F = (centred_NF**2).sum(axis=0)
        within_F = np.where(square_F - explained_F > _ROUNDING * square_F, square_F - explained_F, 0)
        groups_F = np.count_nonzero(count_CF, axis=0)
        f_F = between_F / (groups_F - 1) / (within_F / (count_CF.sum(axis=0) - groups_F))
    return np.where((groups_F > 1) & (square_F > 0), f_F, np.nan)


def cramers_v(code_N: NDArray[np.integer], y_N: NDArray[np.integer], levels: int, classes: int) -> float:
    """Cramér's V between a category and the classes: 0 if they are independent, 1 if one tells the other.

    Args:
        code_N: `(N,)` levels; rows below 0 have none and do not count.
        y_N: `(N,)` class numbers; rows below 0 do not count.
        levels: Number of levels.
        classes: Number of classes.

    Returns:
        `sqrt(chi2 / (n (min(levels, classes) - 1)))` over the levels and classes that occur; NaN if only one does.
    """
    counts = np.zeros((levels, classes))
    known = (code_N >= 0) & (y_N >= 0)
    np.add.at(counts, (code_N[known], y_N[known]), 1)
    counts = counts[counts.any(axis=1)][:, counts.any(axis=0)]
    smaller = min(counts.shape) - 1
    if smaller < 1:
        return float("nan")
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    return float(np.sqrt(((counts - expected) ** 2 / expected).sum() / counts.sum() / smaller))


def most_telling(f_F: Array, count: int) -> NDArray[np.intp]:
    """Indices of the columns that separate the classes best.

    Args:
        f_F: `(F,)` of `anova_f`.
        count: Most columns to return.

    Returns:
        Up to `count` indices by descending F, without the columns whose F is NaN.
    """
    order = np.argsort(-f_F, kind="stable")  # sorts NaN last
    return order[: min(count, np.count_nonzero(~np.isnan(f_F)))]


def _centred(x_NF: Array) -> tuple[Array, Array]:
    """1 for a value and 0 for a missing one; the values minus the mean of their column, 0 for a missing one."""
    known_NF = np.isfinite(x_NF)
    mean_F = np.where(known_NF, x_NF, 0).sum(axis=0) / np.maximum(known_NF.sum(axis=0), 1)
    constant_F = np.fmax.reduce(x_NF, axis=0, initial=np.nan) == np.fmin.reduce(x_NF, axis=0, initial=np.nan)
    # Rounding of the mean would give a constant column a tiny variance.
    return known_NF.astype(np.float64), np.where(known_NF & ~constant_F, x_NF - mean_F, 0)
