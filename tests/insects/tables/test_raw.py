"""Raw tables: cells that training would refuse are read as NaN and counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insects.errors import DataError
from insects.tables.raw import UNLABELLED, read_raw_table
from tests.support.csv_cases import MESSY, raw_table


def test_missing_values_text_and_infinities_are_counted_and_read_as_nan(tmp_path: Path) -> None:
    table = raw_table(tmp_path / "messy.csv", MESSY, "species")
    assert table.features == ("island", "mass", "bill", "flag")
    np.testing.assert_array_equal(table.missing, [1, 2, 0, 0])
    np.testing.assert_array_equal(table.other, [4, 0, 2, 5])
    np.testing.assert_array_equal(table.x[:, 1], [1.5, np.nan, 2.5, np.nan, 3.5])
    np.testing.assert_array_equal(table.x[:, 2], [10, 20, np.nan, np.nan, 40])


@pytest.mark.parametrize("line", ['""', '" "', "\x0c", "\xa0", "\u3000", '"\n"'])
def test_line_that_training_skips_as_blank_is_no_row(line: str, tmp_path: Path) -> None:
    table = raw_table(tmp_path / "t.csv", f"a,b,labels\n1,2,x\n{line}\n3,,y\n{line}\n5,6,x\n")
    np.testing.assert_array_equal(table.x, [[1, 2], [3, np.nan], [5, 6]])
    assert (table.y.tolist(), table.missing.tolist()) == ([0, 1, 0], [0, 1])


def test_species_called_na_is_a_class_and_an_empty_label_is_none(tmp_path: Path) -> None:
    table = raw_table(tmp_path / "messy.csv", MESSY, "species")
    assert table.classes == ("Adelie", "NA")
    assert table.y.tolist() == [0, 1, 0, UNLABELLED, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it needs a header line"),
        ("labels,a\n", "has a header but no rows"),
        ("labels,a\n1,2\n3\n", "line 3: a row must have 2 cells like the header, found 1"),
        ("labels,a,a\n1,2,3\n", "line 1: a column name must occur once"),
        ("a,b\n1,2\n", "has no label column 'labels'"),
        ('labels,a\n1,"2\n', "line 2: the row is not valid CSV"),
    ],
)
def test_malformed_file_is_refused_as_by_the_labelled_reader(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        raw_table(tmp_path / "t.csv", text)
    with pytest.raises(DataError, match="there is no file"):
        read_raw_table(tmp_path / "absent.csv")


def test_chosen_features_are_read_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,labels,c\n1,2,0,3\n4,5,1,6\n")
    table = read_raw_table(tmp_path / "t.csv", features=["c", "a"])
    assert table.features == ("c", "a")
    assert table.x.tolist() == [[3, 1], [6, 4]]


@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example overwrites one file
)
@given(st.lists(st.sampled_from(["", " ", "NA", "1", "-2.5e3", " 7 ", "x", "inf", "True", '"a,b"']), min_size=1))
def test_every_cell_counts_as_a_number_as_missing_or_as_other(tmp_path: Path, cells: list[str]) -> None:
    kinds = {"": 0, " ": 0, "NA": 0, "1": 1, "-2.5e3": 1, " 7 ": 1}
    expected = [sum(kinds.get(cell, 2) == kind for cell in cells) for kind in range(3)]
    table = raw_table(tmp_path / "t.csv", "labels,a\n" + "".join(f"k,{cell}\n" for cell in cells))
    assert [table.missing[0], np.isfinite(table.x).sum(), table.other[0]] == expected
