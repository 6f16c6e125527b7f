"""`RawTable` -> `Description`: what a person wants to know of a table before searching on it, as text and in numbers.

Shapes: N rows, F features, C classes, S figures of a column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insects.evaluation import shortened
from insects.raw_table import RawTable

Figures = NDArray[np.float64]

FIGURES = ("count", "missing", "not numeric", "mean", "std", "min", "25%", "50%", "75%", "max")
"""Of a column: pandas' `describe()`, whose std has ddof 1, and the cells that are no numbers."""
_COUNTS = 3  # the first of them are whole numbers

CORRELATED = 100
"""Correlations are taken among the first so many features."""

WIDTH = 80
_NAME, _CLASSES, _COLUMNS, _LISTED = 20, 20, 12, 10
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Description:
    """What a table holds.

    classes: names and rows of each. unlabelled: rows without a label. columns: the names that `figures` `(S, columns)`
    describes by `FIGURES`: the label column, if its classes are numbers, and the features. correlations: Pearson's of
    the first `CORRELATED` features, `(F, F)`, NaN where a column is constant. telling: F of a one-way analysis of
    variance for each feature.
    """

    source: str
    rows: int
    target: str
    classes: tuple[tuple[str, int], ...]
    unlabelled: int
    features: tuple[str, ...]
    columns: tuple[str, ...]
    figures: Figures
    correlations: Figures
    telling: Figures

    def as_dict(self) -> dict[str, Any]:
        """The description in numbers, strings, lists and dicts alone, ready for `json.dumps`; None for no number."""
        return {
            "source": self.source,
            "rows": self.rows,
            "target": self.target,
            "classes": dict(self.classes),
            "unlabelled": self.unlabelled,
            "columns": {
                name: dict(zip(FIGURES, _plain(figures), strict=True))
                for name, figures in zip(self.columns, self.figures.T, strict=True)
            },
            "correlations": {
                "columns": list(self.features[:CORRELATED]),
                "matrix": [_plain(row) for row in self.correlations],
            },
            "anova_f": dict(zip(self.features, _plain(self.telling), strict=True)),
        }

    def text(self) -> str:
        """The description for a terminal of 80 columns; what is cut is said."""
        head = f"{self.rows:,} rows, {_number(len(self.features), 'feature')}, {len(self.classes):,} classes"
        parts = [[self.source, head], self._class_lines(), *self._figure_blocks(), self._cell_lines()]
        parts += [self._correlation_lines(), self._telling_lines()]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    def _class_lines(self) -> list[str]:
        rows = [(name, f"{count:,}", _share(count, self.rows)) for name, count in self.classes[:_CLASSES]]
        if self.unlabelled:
            rows.append(("(no label)", f"{self.unlabelled:,}", _share(self.unlabelled, self.rows)))
        lines = _aligned([(f"class ({shortened(self.target)})", "rows", "share"), *rows])
        return lines + _cut(len(self.classes) - _CLASSES, "classes")

    def _figure_blocks(self) -> list[list[str]]:
        """Columns side by side, as many as there is room for, block after block."""
        used = [row for row, name in enumerate(FIGURES) if name == "count" or row >= _COUNTS or self.figures[row].any()]
        stubs = ["", *(FIGURES[row] for row in used)]
        blocks: list[list[str]] = []
        lines = stubs
        for name, figures in zip(self.columns[:_COLUMNS], self.figures.T, strict=False):
            cells = [shortened(name, _NAME), *_formatted(figures, used)]
            if max(map(len, lines)) + 2 + max(map(len, cells)) > WIDTH:
                blocks.append(lines)
                lines = stubs
            lines = _aligned(list(zip(lines, cells, strict=True)))
        blocks.append(lines)
        blocks[-1] = blocks[-1] + _cut(len(self.columns) - _COLUMNS, "columns")
        return blocks

    def _cell_lines(self) -> list[str]:
        lines = []
        for row, what in ((1, "missing values"), (2, "cells that are no numbers")):
            counts = self.figures[row]
            order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
            total = f"{int(counts.sum()):,} in {_number(len(order), 'column')}" if len(order) else "none"
            lines.append(f"{what}: {total}")
            if len(order):
                rows = [(f"  {shortened(self.columns[c])}", f"{int(counts[c]):,}") for c in order[:_LISTED]]
                lines += _aligned(rows) + _cut(len(order) - _LISTED, "columns")
        return lines

    def _correlation_lines(self) -> list[str]:
        first, second = np.triu_indices(len(self.correlations), k=1)
        known = np.isfinite(self.correlations[first, second])
        first, second = first[known], second[known]
        r = self.correlations[first, second]
        if not len(r):
            return []
        order = np.argsort(-np.abs(r), kind="stable")[:_LISTED]
        of = f" of the first {CORRELATED} features" if len(self.features) > CORRELATED else ""
        rows = [(shortened(self.features[first[p]]), shortened(self.features[second[p]]), f"{r[p]:.2f}") for p in order]
        return [f"correlations{of}, strongest first", *_aligned([("  " + a, b, c) for a, b, c in rows])] + _cut(
            len(r) - _LISTED, "pairs"
        )

    def _telling_lines(self) -> list[str]:
        order = most_telling(self.telling, _LISTED)
        if len(self.features) < 3 or not len(order):
            return []
        rows = [(f"  {shortened(self.features[column])}", f"{self.telling[column]:.1f}") for column in order]
        return ["features that tell the classes apart best alone (ANOVA F)", *_aligned(rows)]


def describe(table: RawTable) -> Description:
    """Take a table's figures."""
    counts_C = np.bincount(table.y[table.y >= 0], minlength=len(table.classes))
    columns, x = table.features, table.x
    missing, other = table.missing, table.other
    label_C = _as_numbers(table.classes)
    if label_C is not None:
        columns = (table.target, *columns)
        x = np.column_stack([np.append(label_C, np.nan)[table.y], x])
        unlabelled = np.count_nonzero(table.y < 0)
        missing, other = np.append(unlabelled, missing), np.append(0, other)
    return Description(
        source=table.source,
        rows=len(table.y),
        target=table.target,
        classes=tuple(zip(table.classes, counts_C.tolist(), strict=True)),
        unlabelled=len(table.y) - int(counts_C.sum()),
        features=table.features,
        columns=columns,
        figures=_figures(x, missing, other),
        correlations=correlations(table.x[:, :CORRELATED]),
        telling=anova_f(table.x, table.y, len(table.classes)),
    )


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


def _figures(x_NF: Figures, missing_F: NDArray[np.int64], other_F: NDArray[np.int64]) -> Figures:
    import pandas as pd

    frame = pd.DataFrame(x_NF)
    quartiles = frame.quantile([0.25, 0.5, 0.75]).to_numpy()
    parts = [frame.count(), missing_F, other_F, frame.mean(), frame.std(), frame.min(), *quartiles, frame.max()]
    return np.array([np.asarray(part, np.float64) for part in parts])


def _as_numbers(classes: tuple[str, ...]) -> Figures | None:
    """The class names' values, if all are finite numbers."""
    try:
        values = np.array([float(name) for name in classes])
    except ValueError:
        return None
    return values if len(values) and np.isfinite(values).all() else None


def _formatted(figures_S: Figures, used: list[int]) -> list[str]:
    """A column's figures in one style: six decimals, or six digits where those would say too little or too much."""
    largest = float(np.nanmax(np.abs(figures_S[_COUNTS:]))) if np.isfinite(figures_S[_COUNTS:]).any() else 0.0
    style = ".6f" if largest == 0 or 1e-2 <= largest < 1e6 else ".6g"
    return [
        "–" if math.isnan(figures_S[row]) else f"{int(figures_S[row])}" if row < _COUNTS else f"{figures_S[row]:{style}}"
        for row in used
    ]


def _aligned(rows: list[tuple[str, ...]]) -> list[str]:
    """Lines whose cells line up: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def _cut(count: int, what: str) -> list[str]:
    return [f"… and {count:,} more {what}"] if count > 0 else []


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %"


def _plain(figures: Figures) -> list[float | None]:
    return [figure if math.isfinite(figure) else None for figure in figures.tolist()]
