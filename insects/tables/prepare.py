"""A labelled table made ready for a search: split, coded by the columns and encoded as its training rows say.

Shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from insects.encoder import fit_encoder
from insects.groups import draw_group_parts, group_hashes
from insects.row_hashes import Hashes, row_hashes
from insects.splits import Parts, Splits, Table, content_hashes, draw_parts, encoded_splits, held_out
from insects.tables.columns import MOST_LEVELS, Columns, as_float32, find_columns
from insects.tables.labelled import ColumnChoice, LabelledFrame
from insects.text import counted, shown

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PreparedTable:
    """A table ready for a search.

    Attributes:
        table: All rows, coded.
        parts: Positions of the rows of each part.
        units: `(N,)`, equal for rows that stay together in every split; see `insects.folds.draw_folds`.
        columns: The columns that the model uses.
        splits: Training and validation rows.
        test: Test rows, coded; None if they come from another table.
        rows_repeat: Whether equal rows were drawn independently of each other; see `rows_repeat`.
        dropped: Name and reason of each column that is not used.
        notes: Remarks for the user.
    """

    table: Table
    parts: Parts
    units: Hashes
    columns: Columns
    splits: Splits
    test: Table | None
    rows_repeat: bool
    dropped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def prepare_table(
    labelled: LabelledFrame, choice: ColumnChoice, *, test_fraction: float | None, seed: int, scaling: str
) -> PreparedTable:
    """Split, code and encode a table. Everything that is fitted is fitted on the training rows.

    Args:
        labelled: The rows.
        choice: Which columns are used, and as what.
        test_fraction: Share of the rows to hold out, in (0, 1); None: none, the test rows come from another table.
        seed: Seed of the splits.
        scaling: One of `insects.scaling.SCALINGS`.

    Returns:
        The table.

    Raises:
        DataError: A class has too few rows, a column cannot be used, or none is left.
    """
    y_N, source = labelled.y, labelled.source
    hash_N = row_hashes(_hashed(labelled.frame), len(y_N), seed)
    apart = labelled.groups is None and rows_repeat(labelled.frame, hash_N)
    unit_N = hash_N = content_hashes(hash_N, y_N, labelled.classes, equal_apart=apart)
    if labelled.groups is None:
        parts = draw_parts(hash_N, y_N, labelled.classes, source, test_fraction=test_fraction)
    else:
        parts = draw_group_parts(labelled.groups, hash_N, y_N, labelled.classes, source, test_fraction=test_fraction)
        unit_N = group_hashes(labelled.groups, hash_N)
    found = find_columns(labelled.frame.iloc[parts.train], source, choice.categorical, choice.numeric, labelled.decimal)
    x_NK = found.columns.code(labelled.frame, source, labelled.decimal)
    table = Table(tuple(column.name for column in found.columns.coded), labelled.classes, x_NK, y_N, source)
    encoder = fit_encoder(found.columns.coded, x_NK[parts.train], y_N[parts.train], scaling)
    dropped = (*labelled.identifiers, *found.dropped)
    notes = [*labelled.notes, *_column_notes(table, dropped, found.others, labelled, parts)]
    return PreparedTable(
        table=table,
        parts=parts,
        units=unit_N,
        columns=found.columns,
        splits=encoded_splits(table, parts.train, parts.valid, encoder),
        test=None if test_fraction is None else held_out(table, parts),
        rows_repeat=apart,
        dropped=dropped,
        notes=tuple(notes),
    )


def rows_repeat(frame: pd.DataFrame, hash_N: Hashes) -> bool:
    """Whether a table has few distinct rows since its columns have few values: equal rows are no copies then.

    If equal rows stayed in one part, a model would never see some of the few combinations.

    Args:
        frame: The rows.
        hash_N: `(N,)`, hash of each row's content.
    """
    if 2 * len(np.unique(hash_N)) >= len(hash_N):
        return False
    return all(frame[name].nunique() <= MOST_LEVELS for name in frame.columns)


def _hashed(frame: pd.DataFrame) -> Iterator[NDArray[Any]]:
    """The content of each column for `row_hashes`: numbers as float32, of all else 64-bit hashes."""
    import pandas as pd

    for name in frame.columns:
        values = frame[name]
        if values.dtype.kind in "iufb":
            yield as_float32(values.to_numpy(np.float64))
        elif values.dtype.kind == "M":
            yield values.to_numpy("datetime64[s]").astype(np.int64).view(np.uint64)
        else:
            yield pd.util.hash_array(values.astype(str).to_numpy(object))


def _column_notes(
    table: Table,
    dropped: tuple[tuple[str, str], ...],
    others: tuple[tuple[str, tuple[int, ...]], ...],
    labelled: LabelledFrame,
    parts: Parts,
) -> list[str]:
    notes = []
    if dropped:
        reasons = ", ".join(f"{shown(name or '(no name)')} ({reason})" for name, reason in dropped[:8])
        more = f" and {len(dropped) - 8} more" if len(dropped) > 8 else ""
        notes.append(f"{counted(len(dropped), 'column')} not used: {reasons}{more}")
    gaps_K = np.isnan(table.x[parts.train]).sum(axis=0)
    columns = np.flatnonzero(gaps_K)
    if len(columns):
        counts = ", ".join(f"{shown(table.features[column])} {gaps_K[column]:,}" for column in columns[:8])
        more = f" and {len(columns) - 8} more columns" if len(columns) > 8 else ""
        notes.append(f"gaps in training rows, filled: {counts}{more}")
    for name, rows in others[:5]:
        first = int(parts.train[list(rows)].min())
        cell = labelled.frame[name].iloc[first]
        notes.append(
            f"{counted(len(rows), 'cell')} of column {shown(name)} in training rows not a number, taken as missing; "
            f"the first is {shown(cell)} ({labelled.where(first)})"
        )
    return notes
