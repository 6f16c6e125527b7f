"""Tables made ready for a search: kinds and encoder follow from the training rows, what is left out is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from insects.spiral import builtin_tables
from insects.splits import split
from insects.tables.labelled import ColumnChoice, read_labelled
from insects.tables.prepare import PreparedTable, prepare_table
from tests.support.csv_cases import Write

ROOT = Path(__file__).parents[3]


def prepared(path: Path, choice: ColumnChoice | None = None, scaling: str = "standard") -> PreparedTable:
    choice = choice or ColumnChoice()
    return prepare_table(read_labelled(path, choice), choice, test_fraction=0.1, seed=0, scaling=scaling)


def test_table_of_numbers_gives_the_splits_of_the_builtin_table() -> None:
    table = prepared(ROOT / "data" / "insects_train.csv")
    splits, test = split(builtin_tables()[0])
    assert table.splits.digest == splits.digest
    assert splits.digest == "7704490d76cc5425c50b39ab57bba74bf5f11815fefa847bb1a82def85d04877"
    assert table.test is not None
    np.testing.assert_array_equal(table.test.x, test.x)
    assert (table.dropped, table.notes, table.rows_repeat) == ((), (), False)


def mixed(rows: int = 300) -> str:
    lines = ["id,labels,mass,island,note"]
    for row in range(rows):
        mass = "" if row % 11 == 3 else "x" if row == 7 else f"{row * 37 % 101 / 7:.3f}"
        lines.append(f"k{row},{'pq'[row % 2]},{mass},{'abc'[row % 3]},always")
    return "\n".join(lines) + "\n"


def test_columns_left_out_gaps_and_odd_cells_are_told(write: Write) -> None:
    table = prepared(write(mixed()))
    assert table.columns.names == ("mass", "island")
    assert dict(table.dropped) == {"id": "an id: 300 different texts in 300 rows", "note": "always 'always'"}
    notes = "; ".join(table.notes)
    assert "2 columns not used: 'id' (an id: 300 different texts in 300 rows), 'note' (always 'always')" in notes
    assert "gaps in training rows, filled: 'mass' " in notes
    is_trained = 7 in table.parts.train
    assert (
        "1 cell of column 'mass' in training rows not a number, taken as missing; the first is 'x' (t.csv, line 9)"
        in notes
    ) == is_trained


def test_parts_hold_all_rows_once_and_test_rows_are_left_out_if_another_file_has_them(write: Write) -> None:
    labelled = read_labelled(write(mixed()), ColumnChoice())
    for fraction, share in ((0.2, 60), (None, 0)):
        table = prepare_table(labelled, ColumnChoice(), test_fraction=fraction, seed=0, scaling="standard")
        parts = table.parts
        assert sorted(np.concatenate([parts.train, parts.valid, parts.test])) == list(range(300))
        assert len(parts.test) == share
        assert (table.test is None) == (fraction is None)
        assert len(parts.valid) == (300 - share) // 5


def test_seed_changes_the_parts_and_the_order_of_the_rows_does_not(write: Write) -> None:
    labelled = read_labelled(write(mixed()), ColumnChoice())
    choice = ColumnChoice()
    first, other = (
        prepare_table(labelled, choice, test_fraction=0.1, seed=seed, scaling="standard") for seed in (0, 1)
    )
    assert set(first.parts.test) != set(other.parts.test)
    header, *lines = mixed().splitlines(keepends=True)
    again = prepared(write(header + "".join(lines[::-1])))
    assert again.splits.digest == first.splits.digest


def test_encoder_is_fitted_on_training_rows_alone(write: Write) -> None:
    table = prepared(write(mixed()))
    raw = table.table.x[table.parts.train]
    assert table.splits.encoder.fill[0] == np.nanmedian(raw[:, 0])
    np.testing.assert_array_equal(table.splits.encoder.transform(raw), table.splits.train_x)


def test_rows_of_few_categories_are_in_every_part_and_copies_of_numbers_in_one(write: Write) -> None:
    generator = np.random.default_rng(0)
    lines = [f"{'yn'[int(generator.random() < 0.3)]},{'abc'[n % 3]},{'pq'[n % 2]}" for n in range(600)]
    few = prepared(write("labels,a,b\n" + "\n".join(lines) + "\n"))
    assert few.rows_repeat
    for part in (few.parts.train, few.parts.valid, few.parts.test):
        assert len(np.unique(few.table.x[part], axis=0)) == 6
    copies = "".join(f"{'yn'[n % 2]},{n / 7},{n % 5}\n" * 4 for n in range(200))
    table = prepared(write(f"labels,a,b\n{copies}"))
    assert not table.rows_repeat
    sets = [set(table.table.x[part, 0].tolist()) for part in (table.parts.train, table.parts.valid, table.parts.test)]
    assert sum(map(len, sets)) == len(set.union(*sets))


def test_order_of_rows_with_few_categories_changes_no_part(write: Write) -> None:
    lines = [f"{'yn'[n % 7 % 2]},{'abc'[n % 3]},{'pq'[n % 2]}\n" for n in range(600)]
    first = prepared(write("labels,a,b\n" + "".join(lines)))
    again = prepared(write("labels,a,b\n" + "".join(lines[::-1])))
    assert first.splits.digest == again.splits.digest


def test_groups_stay_in_one_part(write: Write) -> None:
    lines = "".join(f"{'pq'[n % 2]},{n / 7},g{n // 6}\n" for n in range(600))
    path = write(f"labels,a,who\n{lines}")
    table = prepared(path, ColumnChoice(group="who"))
    assert table.columns.names == ("a",)
    sets = [set((part // 6).tolist()) for part in (table.parts.train, table.parts.valid, table.parts.test)]
    assert sum(map(len, sets)) == len(set.union(*sets)) == 100


@pytest.mark.parametrize("scaling", ["quantile", "robust", "ple"])
def test_scaling_changes_inputs_and_digest_but_no_part(write: Write, scaling: str) -> None:
    path = write(mixed())
    standard, other = prepared(path), prepared(path, scaling=scaling)
    np.testing.assert_array_equal(standard.parts.train, other.parts.train)
    np.testing.assert_array_equal(standard.table.x, other.table.x)
    assert standard.splits.digest != other.splits.digest
