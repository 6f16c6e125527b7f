"""Raw tables: cells that training would refuse are read as NaN and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insects.errors import DataError
from insects.tables.labelled import ColumnChoice, read_labelled
from insects.tables.prepare import prepare_table
from insects.tables.raw import UNLABELLED, RawTable, read_raw_table
from tests.support.csv_cases import MESSY, raw_table


def test_missing_values_text_and_infinities_are_counted_and_read_as_nan(tmp_path: Path) -> None:
    table = raw_table(tmp_path / "messy.csv", MESSY, "species", numeric=("mass", "bill"))
    assert table.features == ("mass", "bill")
    np.testing.assert_array_equal(table.missing, [2, 0])
    np.testing.assert_array_equal(table.other, [0, 2])
    np.testing.assert_array_equal(table.x, [[1.5, 10], [np.nan, 20], [2.5, np.nan], [np.nan, np.nan], [3.5, 40]])
    assert [(category.name, category.levels) for category in table.categories] == [
        ("island", ("north", "south")),
        ("flag", ("True", "False")),
    ]
    assert table.categories[0].code.tolist() == [0, 1, -1, 0, 1]


def test_empty_label_is_none_and_the_word_none_is_a_class(tmp_path: Path) -> None:
    table = raw_table(tmp_path / "messy.csv", MESSY, "species")
    assert table.classes == ("Adelie", "None")
    assert table.y.tolist() == [0, 1, 0, UNLABELLED, 1]


def test_dates_are_days_since_the_earliest(tmp_path: Path) -> None:
    rows = "".join(f"k{n % 2},2024-0{1 + n % 3}-01,{n}\n" for n in range(30))
    table = raw_table(tmp_path / "t.csv", f"labels,when,a\n{rows}")
    assert table.dates == (("when", "2024-01-01"),)
    assert table.x[:3, 0].tolist() == [0, 31, 60]


def test_what_a_search_would_refuse_is_a_note_and_the_kinds_are_still_found(tmp_path: Path) -> None:
    rows = "".join(f"{n / 7},{'pq'[n % 2]},{n % 5}\n" for n in range(50))
    table = raw_table(tmp_path / "t.csv", f"labels,c,a\n{rows}")
    assert table.features == ("a",)
    assert [category.name for category in table.categories] == ["c"]
    assert len(table.notes) == 1
    assert table.notes[0].startswith("a search would refuse this table: ")
    assert "is a quantity" in table.notes[0]
    rare = raw_table(tmp_path / "t.csv", "labels,a\n" + "x,1\ny,2\n" * 5 + "z,3\n")
    assert "'z' has 1; add rows, or leave out 1 class with 1 row" in rare.notes[0]


def test_columns_that_a_search_drops_and_cells_that_it_overlooks_are_told(tmp_path: Path) -> None:
    rows = "".join(f"key {n},{'pq'[n % 2]},{'about 3' if n == 7 else n % 9},same\n" for n in range(40))
    table = raw_table(tmp_path / "t.csv", f"id,labels,mass,site\n{rows}")
    assert table.dropped == (("id", "an id: 40 different texts in 40 rows"), ("site", "always 'same'"))
    assert table.features == ("mass",)
    assert table.other.tolist() == [1]
    assert table.notes == (f"column 'mass': 1 cell not a number, the first 'about 3' ({tmp_path}/t.csv, line 9)",)


def test_label_of_thousands_of_digits_is_text(tmp_path: Path) -> None:
    table = raw_table(tmp_path / "t.csv", f"labels,a\n{'9' * 5000},1\n8,2\n")
    assert table.classes == ("8", "9" * 5000)


def test_coded_rows_become_the_raw_table_of_the_file(tmp_path: Path) -> None:
    rows = "".join(
        f"{'pq'[n % 2]},{n % 9 or ''},{['red', 'green', ''][n % 3]},2024-0{1 + n % 3}-01\n" for n in range(60)
    )
    raw = raw_table(tmp_path / "t.csv", f"labels,mass,colour,day\n{rows}blue,1,once,2024-01-01\n")
    choice = ColumnChoice()
    labelled = read_labelled(tmp_path / "t.csv", choice, fewest_rows=3)
    prepared = prepare_table(labelled, choice, test_fraction=None, seed=0, scaling="standard")
    table = RawTable.from_table(prepared.table, prepared.columns, "labels", notes=("a note",))
    assert table.features == ("mass", "day", "day (month)", "day (weekday)")
    np.testing.assert_array_equal(table.x[:, 0], raw.x[:-1, 0])
    assert table.missing[0] == raw.missing[0] == 7
    (colour,), (expected,) = table.categories, raw.categories
    assert [colour.levels[code] if code >= 0 else "" for code in colour.code] == [
        expected.levels[code] if code >= 0 else "" for code in expected.code[:-1]
    ]
    assert (table.dates, table.classes, table.notes) == ((("day", "2024-01-01"),), ("p", "q"), ("a note",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it needs a header line"),
        ("labels,a\n", "has a header but no rows"),
        ("labels,a\n1,2\n3\n", "line 3: a row must have 2 cells like the header, found 1"),
        ("labels,a,a\n1,2,3\n", "line 1: a column must have a name of its own"),
        ("a,b\n1,2\n", "has no label column 'labels'"),
        ('labels,a\n1,"2\n', "line 2: the row is not valid CSV"),
    ],
)
def test_malformed_file_is_refused_as_by_the_labelled_reader(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        raw_table(tmp_path / "t.csv", text)
    with pytest.raises(DataError, match="there is no file"):
        read_raw_table(tmp_path / "absent.csv", ColumnChoice())


def test_chosen_features_are_read_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,labels,c\n1,2,0,3\n4,5,1,6\n")
    table = read_raw_table(tmp_path / "t.csv", ColumnChoice(features=("c", "a")))
    assert table.features == ("c", "a")
    assert table.x.tolist() == [[3, 1], [6, 4]]


@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example overwrites one file
)
@given(st.lists(st.sampled_from(["", " ", "NA", "1", "-2.5e3", " 7 ", "x", "inf", "yes", '"a,b"']), min_size=1))
def test_every_cell_counts_as_a_number_as_missing_or_as_other(tmp_path: Path, cells: list[str]) -> None:
    kinds = {"": 0, " ": 0, "NA": 0, "1": 1, "-2.5e3": 1, " 7 ": 1}
    expected = [sum(kinds.get(cell, 2) == kind for cell in cells) for kind in range(3)]
    text = "labels,a\n" + "".join(f"k,{cell}\n" for cell in cells)
    table = raw_table(tmp_path / "t.csv", text, numeric=("a",))
    if not table.features:  # nothing but gaps, or always the same number
        assert expected[1] == 0 or len({float(cell) for cell in cells if kinds.get(cell) == 1}) == 1
        return
    assert [table.missing[0], np.isfinite(table.x).sum(), table.other[0]] == expected
