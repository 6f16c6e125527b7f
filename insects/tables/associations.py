"""How columns go together, with each other and with the classes, over the cells that hold a number.

Shapes: N rows, F columns, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]

_ROUNDING = 1e-12


def correlations(x_NF: Figures) -> Figures:
    """Pearson's r of each two columns over the rows where both have a value, `(F, F)`; NaN where one is constant."""
    known_NF, centred_NF = _centred(x_NF)
    centred_NF /= np.maximum(np.linalg.norm(centred_NF, axis=0), np.finfo(float).tiny)
    count = known_NF.T @ known_NF
    sums = centred_NF.T @ known_NF  # of a column over the rows that the other has
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = centred_NF.T @ centred_NF - sums * sums.T / count
        variance = np.maximum((centred_NF**2).T @ known_NF - sums**2 / count, 0)
        spread = np.sqrt(variance * variance.T)
        r = np.where(spread > _ROUNDING, covariance / spread, np.nan)
    return np.asarray(np.clip(r, -1, 1))


def anova_f(x_NF: Figures, y_N: NDArray[np.integer], classes: int) -> Figures:
    """Each column's variance between the classes over that within them, `(F,)`: infinity where there is none within
    them, NaN where there is none at all.

    scikit-learn's `f_classif`, but over the rows with a value; that one takes seconds to import.
    """
    labelled = y_N >= 0
    known_NF, centred_NF = _centred(x_NF[labelled])
    member_CN = (y_N[labelled] == np.arange(classes)[:, None]).astype(np.float64)
    count_CF, sum_CF = member_CN @ known_NF, member_CN @ centred_NF
    with np.errstate(divide="ignore", invalid="ignore"):
        explained_F = np.where(count_CF > 0, sum_CF**2 / count_CF, 0).sum(axis=0)
        between_F = explained_F - sum_CF.sum(axis=0) ** 2 / count_CF.sum(axis=0)
        square_F = (centred_NF**2).sum(axis=0)
        within_F = np.where(square_F - explained_F > _ROUNDING * square_F, square_F - explained_F, 0)
        groups_F = np.count_nonzero(count_CF, axis=0)
        f_F = between_F / (groups_F - 1) / (within_F / (count_CF.sum(axis=0) - groups_F))
    return np.where((groups_F > 1) & (square_F > 0), f_F, np.nan)


def most_telling(f_F: Figures, count: int) -> NDArray[np.intp]:
    """Indices of the `count` columns with the highest F, best first; those without one are left out."""
    order = np.argsort(-f_F, kind="stable")  # NaN comes last
    return order[: min(count, np.count_nonzero(~np.isnan(f_F)))]


def _centred(x_NF: Figures) -> tuple[Figures, Figures]:
    """1 where there is a value and else 0; the values less their column's mean, 0 where there is none."""
    known_NF = np.isfinite(x_NF)
    mean_F = np.where(known_NF, x_NF, 0).sum(axis=0) / np.maximum(known_NF.sum(axis=0), 1)
    constant_F = np.fmax.reduce(x_NF, axis=0, initial=np.nan) == np.fmin.reduce(x_NF, axis=0, initial=np.nan)
    # Rounding in the mean would leave a constant column a tiny deviation.
    return known_NF.astype(np.float64), np.where(known_NF & ~constant_F, x_NF - mean_F, 0)
