"""Description of a table: class sizes, statistics of each column, bad cells, correlations, informative features.

Shapes: N rows, F features, S statistics of a column.
"""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insects.tables.associations import anova_f, correlations, cramers_v, most_telling
from insects.tables.raw import Category, RawTable
from insects.text import aligned, and_more, counted, share, shortened

Array = NDArray[np.float64]

STATISTICS = ("count", "missing", "not numeric", "mean", "std", "min", "25%", "50%", "75%", "max")
"""Statistics of a column: those of pandas' `describe()` (std with ddof 1), and its missing and non-numeric cells."""
_COUNTS = 3  # the first three are whole numbers

CORRELATED = 100
"""Most features to correlate, the first ones: the matrix grows with their square."""

_KINDS = {"number": "numbers", "category": "categories", "date": "dates"}

WIDTH = 80
"""Characters of a line of the text."""

# What the text shows at most: characters of a name, classes, columns with statistics, lines of the other lists.
_NAME, _CLASSES, _COLUMNS, _LISTED = 20, 20, 12, 10


@dataclass(frozen=True)
class CategoryRow:
    """The description of a category column.

    Attributes:
        name: Its name.
        levels: Name and number of rows of each level, the most frequent first.
        missing: Rows without a level.
        cramers_v: How well the levels tell the classes apart; see `insects.tables.associations.cramers_v`.
    """

    name: str
    levels: tuple[tuple[str, int], ...]
    missing: int
    cramers_v: float


@dataclass(frozen=True)
class DateRow:
    """The description of a date column.

    Attributes:
        name: Its name.
        first: The earliest day, as in `2020-01-31`; empty if there is none.
        last: The latest day.
        missing: Rows without a date.
    """

    name: str
    first: str
    last: str
    missing: int


@dataclass(frozen=True)
class Description:
    """The description of a table.

    Attributes:
        source: Name of the file.
        rows: Number of rows, N.
        target: Name of the label column.
        classes: Name and number of rows of each class.
        unlabelled: Rows without a label.
        features: F column names.
        columns: The described columns: the features, and before them the label column if its classes are numbers.
        statistics: `(S, columns)` float64, rows `STATISTICS`.
        correlations: Pearson's correlations of the first `CORRELATED` features; NaN where a column is constant.
        anova_f: `(F,)`, F of a one-way analysis of variance of each feature.
        categories: The category columns.
        dates: The date columns, which are among the features as days since the earliest.
        dropped: Name and reason of each column that a search does not use.
        notes: Remarks for the user.
    """

    source: str
    rows: int
    target: str
    classes: tuple[tuple[str, int], ...]
    unlabelled: int
    features: tuple[str, ...]
    columns: tuple[str, ...]
    statistics: Array
    correlations: Array
    anova_f: Array
    categories: tuple[CategoryRow, ...] = ()
    dates: tuple[DateRow, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kinds(self) -> dict[str, str]:
        """What each used column holds: number, date or category."""
        dates = {row.name for row in self.dates}
        kinds = {name: "date" if name in dates else "number" for name in self.features}
        return kinds | {row.name: "category" for row in self.categories}

    def as_dict(self) -> dict[str, Any]:
        """The description as a dictionary that `json.dumps` accepts, with None for NaN and infinity."""
        return {
            "source": self.source,
            "rows": self.rows,
            "target": self.target,
            "classes": dict(self.classes),
            "unlabelled": self.unlabelled,
            "kinds": self.kinds,
            "columns": {
                name: dict(zip(STATISTICS, _finite(statistics), strict=True))
                for name, statistics in zip(self.columns, self.statistics.T, strict=True)
            },
            "correlations": {
                "columns": list(self.features[:CORRELATED]),
                "matrix": [_finite(row) for row in self.correlations],
            },
            "anova_f": dict(zip(self.features, _finite(self.anova_f), strict=True)),
            "categories": {
                row.name: {
                    "levels": dict(row.levels),
                    "missing": row.missing,
                    "cramers_v": row.cramers_v if math.isfinite(row.cramers_v) else None,
                }
                for row in self.categories
            },
            "dates": {row.name: {"first": row.first, "last": row.last, "missing": row.missing} for row in self.dates},
            "dropped": dict(self.dropped),
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """The description as plain text, in lines of at most `WIDTH` characters; long lists end with "… and 5 more"."""
        features = len(self.features) + len(self.categories)
        counts = ((self.rows, "row"), (features, "feature"), (len(self.classes), "class"))
        head = ", ".join(counted(count, what) for count, what in counts)
        parts = [[self.source, head, *self._kind_lines()], self._class_lines(), *self._statistics_blocks()]
        parts += [
            self._category_lines(),
            self._date_lines(),
            self._cell_lines(),
            self._correlation_lines(),
            self._anova_lines(),
            self._dropped_lines(),
        ]
        parts.append([line for note in self.notes for line in textwrap.wrap(note, WIDTH, subsequent_indent="  ")])
        return "\n\n".join("\n".join(lines) for lines in parts if lines)

    def _kind_lines(self) -> list[str]:
        """How many columns of each kind there are; nothing where all are numbers."""
        kinds = list(self.kinds.values())
        found = [(kinds.count(kind), kind, kinds_of) for kind, kinds_of in _KINDS.items() if kind in kinds]
        counts = [f"{count:,} {kind if count == 1 else kinds_of}" for count, kind, kinds_of in found]
        return [f"columns: {', '.join(counts)}"] if set(kinds) - {"number"} else []

    def _class_lines(self) -> list[str]:
        rows = [(name, f"{count:,}", share(count, self.rows)) for name, count in self.classes[:_CLASSES]]
        if self.unlabelled:
            rows.append(("(no label)", f"{self.unlabelled:,}", share(self.unlabelled, self.rows)))
        lines = aligned([(f"class ({shortened(self.target)})", "rows", "share"), *rows])
        return lines + and_more(len(self.classes) - _CLASSES, "classes")

    def _statistics_blocks(self) -> list[list[str]]:
        """Tables of statistics, each with as many columns as fit into a line."""
        shown = np.any(self.statistics, axis=1)  # NaN is true
        used = [row for row in range(len(STATISTICS)) if row == 0 or row >= _COUNTS or shown[row]]
        heads = ["", *(STATISTICS[row] for row in used)]
        if not self.columns:
            return []
        blocks: list[list[str]] = []
        lines = heads
        for name, statistics in zip(self.columns[:_COLUMNS], self.statistics.T, strict=False):
            cells = [shortened(name, _NAME), *_formatted(statistics, used)]
            if max(map(len, lines)) + 2 + max(map(len, cells)) > WIDTH:
                blocks.append(lines)
                lines = heads
            lines = aligned(list(zip(lines, cells, strict=True)))
        blocks.append(lines)
        blocks[-1] = blocks[-1] + and_more(len(self.columns) - _COLUMNS, "columns")
        return blocks

    def _category_lines(self) -> list[str]:
        if not self.categories:
            return []
        rows = [("category", "levels", "missing", "Cramér's V")]
        for row in self.categories[:_COLUMNS]:
            v = f"{row.cramers_v:.2f}" if math.isfinite(row.cramers_v) else "–"
            rows.append((shortened(row.name, _NAME), f"{len(row.levels):,}", f"{row.missing:,}", v))
        head, *lines = aligned(rows)
        lines = [self._with_levels(line, row) for line, row in zip(lines, self.categories, strict=False)]
        return [f"{head}  most frequent", *lines, *and_more(len(self.categories) - _COLUMNS, "categories")]

    def _with_levels(self, line: str, category: CategoryRow) -> str:
        """The line with the most frequent levels behind it, as many as fit."""
        for place, (name, count) in enumerate(category.levels):
            level = f"{'  ' if place == 0 else ', '}{shortened(name)} {share(count, self.rows)}"
            if len(line) + len(level) > WIDTH:
                break
            line += level
        return line

    def _date_lines(self) -> list[str]:
        rows = [(shortened(row.name, _NAME), row.first, row.last, f"{row.missing:,}") for row in self.dates[:_COLUMNS]]
        if not rows:
            return []
        return aligned([("date", "first", "last", "missing"), *rows]) + and_more(len(self.dates) - _COLUMNS, "dates")

    def _dropped_lines(self) -> list[str]:
        if not self.dropped:
            return []
        rows = [f"  {shortened(name or '(no name)')}: {reason}" for name, reason in self.dropped[:_LISTED]]
        return ["columns that a search does not use", *rows, *and_more(len(self.dropped) - _LISTED, "columns")]

    def _cell_lines(self) -> list[str]:
        gaps = dict(zip(self.columns, self.statistics[1].astype(int).tolist(), strict=True))
        gaps |= {row.name: row.missing for row in self.categories}
        other = dict(zip(self.columns, self.statistics[2].astype(int).tolist(), strict=True))
        lines = []
        for what, counts in (("missing values", gaps), ("non-numeric cells", other)) if gaps else ():
            ranked = sorted((item for item in counts.items() if item[1]), key=lambda item: -item[1])
            total = f"{sum(counts.values()):,} in {counted(len(ranked), 'column')}" if ranked else "none"
            lines.append(f"{what}: {total}")
            if ranked:
                rows = [(f"  {shortened(name)}", f"{count:,}") for name, count in ranked[:_LISTED]]
                lines += aligned(rows) + and_more(len(ranked) - _LISTED, "columns")
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
        return [f"correlations{of}, strongest first", *aligned(rows), *and_more(len(r) - _LISTED, "pairs")]

    def _anova_lines(self) -> list[str]:
        order = most_telling(self.anova_f, _LISTED)
        if len(self.features) < 3 or not len(order):
            return []
        rows = [(f"  {shortened(self.features[column])}", f"{self.anova_f[column]:.1f}") for column in order]
        return ["features that tell the classes apart best alone (ANOVA F)", *aligned(rows)]


def describe(table: RawTable) -> Description:
    """Describe a table.

    Examples:
        >>> from insects.spiral import builtin_tables
        >>> from insects.tables.columns import Columns
        >>> table = builtin_tables()[0]
        >>> description = describe(RawTable.from_table(table, Columns.of_numbers(table.features)))
        >>> description.rows, description.features
        (1200, ('feature1', 'feature2'))
    """
    counts_C = np.bincount(table.y[table.y >= 0], minlength=len(table.classes))
    columns, x = table.features, table.x
    missing, other = table.missing, table.other
    label_C = _as_numbers(table.classes)
    if label_C is not None:
        columns = (table.target, *columns)
        # `UNLABELLED` is -1 and so picks the NaN at the end.
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
        statistics=_statistics(x, missing, other),
        correlations=correlations(table.x[:, :CORRELATED]),
        anova_f=anova_f(table.x, table.y, len(table.classes)),
        categories=tuple(_category_row(category, table) for category in table.categories),
        dates=tuple(_date_row(name, start, table) for name, start in table.dates),
        dropped=table.dropped,
        notes=table.notes,
    )


def _category_row(category: Category, table: RawTable) -> CategoryRow:
    counts = np.bincount(category.code[category.code >= 0], minlength=len(category.levels))
    order = np.argsort(-counts, kind="stable")
    return CategoryRow(
        name=category.name,
        levels=tuple((category.levels[level], int(counts[level])) for level in order),
        missing=int(np.count_nonzero(category.code < 0)),
        cramers_v=cramers_v(category.code, table.y, len(category.levels), len(table.classes)),
    )


def _date_row(name: str, start: str, table: RawTable) -> DateRow:
    place = table.features.index(name)
    days = table.x[np.isfinite(table.x[:, place]), place]

    def day(since: float) -> str:
        return str(np.datetime64(start, "D") + np.timedelta64(math.floor(since), "D"))

    first, last = (day(days.min()), day(days.max())) if len(days) else ("", "")
    return DateRow(name, first, last, missing=len(table.y) - len(days))


def _statistics(x_NF: Array, missing_F: NDArray[np.int64], other_F: NDArray[np.int64]) -> Array:
    import pandas as pd

    if not x_NF.shape[1]:
        return np.empty((len(STATISTICS), 0))

    frame = pd.DataFrame(x_NF)
    quartiles = frame.quantile([0.25, 0.5, 0.75]).to_numpy()
    parts = [frame.count(), missing_F, other_F, frame.mean(), frame.std(), frame.min(), *quartiles, frame.max()]
    return np.array([np.asarray(part, np.float64) for part in parts])


def _as_numbers(classes: tuple[str, ...]) -> Array | None:
    """The class names as numbers, or None if one of them is not a finite number."""
    try:
        values = np.array([float(name) for name in classes])
    except ValueError:
        return None
    return values if len(values) and np.isfinite(values).all() else None


def _formatted(statistics_S: Array, used: list[int]) -> list[str]:
    """Statistics of a column in one format: six decimals, or six digits for very large and very small numbers."""
    values = statistics_S[_COUNTS:]
    largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
    style = ".6f" if largest == 0 or 1e-2 <= largest < 1e6 else ".6g"
    return [
        "–" if math.isnan(statistics_S[row]) else format(statistics_S[row], ".0f" if row < _COUNTS else style)
        for row in used
    ]


def _finite(values: Array) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]
