"""`RawTable` -> `Description`: what a person wants to know of a table before searching on it, as text and in numbers.

Shapes: N rows, F features, C classes, S figures of a column.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insects.tables.associations import anova_f, correlations, most_telling
from insects.tables.raw import RawTable
from insects.text import aligned, counted, cut, share, shortened

Figures = NDArray[np.float64]

FIGURES = ("count", "missing", "not numeric", "mean", "std", "min", "25%", "50%", "75%", "max")
"""Of a column: pandas' `describe()`, whose std has ddof 1, and the cells that are no numbers."""
_COUNTS = 3  # the first of them are whole numbers

CORRELATED = 100
"""Correlations are taken among the first so many features."""

WIDTH = 80
_NAME, _CLASSES, _COLUMNS, _LISTED = 20, 20, 12, 10


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
        counts = ((self.rows, "row"), (len(self.features), "feature"), (len(self.classes), "class"))
        head = ", ".join(counted(count, what) for count, what in counts)
        parts = [[self.source, head], self._class_lines(), *self._figure_blocks(), self._cell_lines()]
        parts += [self._correlation_lines(), self._telling_lines()]
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    def _class_lines(self) -> list[str]:
        rows = [(name, f"{count:,}", share(count, self.rows)) for name, count in self.classes[:_CLASSES]]
        if self.unlabelled:
            rows.append(("(no label)", f"{self.unlabelled:,}", share(self.unlabelled, self.rows)))
        lines = aligned([(f"class ({shortened(self.target)})", "rows", "share"), *rows])
        return lines + cut(len(self.classes) - _CLASSES, "classes")

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
            lines = aligned(list(zip(lines, cells, strict=True)))
        blocks.append(lines)
        blocks[-1] = blocks[-1] + cut(len(self.columns) - _COLUMNS, "columns")
        return blocks

    def _cell_lines(self) -> list[str]:
        lines = []
        for row, what in ((1, "missing values"), (2, "cells that are no numbers")):
            counts = self.figures[row]
            order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
            total = f"{int(counts.sum()):,} in {counted(len(order), 'column')}" if len(order) else "none"
            lines.append(f"{what}: {total}")
            if len(order):
                rows = [(f"  {shortened(self.columns[c])}", f"{int(counts[c]):,}") for c in order[:_LISTED]]
                lines += aligned(rows) + cut(len(order) - _LISTED, "columns")
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
        names = [shortened(name) for name in self.features]
        rows = [("  " + names[first[pair]], names[second[pair]], f"{r[pair]:.2f}") for pair in order]
        return [f"correlations{of}, strongest first", *aligned(rows), *cut(len(r) - _LISTED, "pairs")]

    def _telling_lines(self) -> list[str]:
        order = most_telling(self.telling, _LISTED)
        if len(self.features) < 3 or not len(order):
            return []
        rows = [(f"  {shortened(self.features[column])}", f"{self.telling[column]:.1f}") for column in order]
        return ["features that tell the classes apart best alone (ANOVA F)", *aligned(rows)]


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
        "–" if math.isnan(figures_S[row]) else format(figures_S[row], ".0f" if row < _COUNTS else style) for row in used
    ]


def _plain(figures: Figures) -> list[float | None]:
    return [figure if math.isfinite(figure) else None for figure in figures.tolist()]
