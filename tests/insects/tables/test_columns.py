"""Kinds of columns: what decides them, what is dropped and why, and the codes of later rows."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest

from insects.errors import DataError
from insects.tables.columns import MOST_LEVELS, Column, Columns, FoundColumns, find_columns, find_identifiers

ROWS = 60


def found(values: Sequence[object], categorical: tuple[str, ...] = (), numeric: tuple[str, ...] = ()) -> FoundColumns:
    return find_columns(pd.DataFrame({"c": list(values)}), "t.csv", categorical, numeric)


def repeated(*values: object) -> list[object]:
    return [values[row % len(values)] for row in range(ROWS)]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (repeated(1.5, 2.5), "number"),
        (repeated(1, 2, 3), "number"),
        (repeated("1", "2", ""), "number"),
        (repeated("red", "green"), "category"),
        (repeated(True, False), "category"),
        (repeated("yes", "no", None), "category"),
        (repeated("x"), None),
        (repeated("x", None), "category"),  # a gap or not: two values
        (repeated("2024-01-31", "2024-02-01"), "date"),
        (repeated("3/31/2024 10:30", "12/1/2023 09:00"), "date"),
        ([f"level {row % 30}" for row in range(300)], "category"),
    ],
)
def test_kind_follows_from_the_cells(values: list[object], kind: str | None) -> None:
    if kind is None:
        with pytest.raises(DataError, match=r"no column is left to learn from: 'c' \(always 'x'\)"):
            found(values)
    else:
        (column,) = found(values).columns.columns
        assert column.kind == kind


def test_choice_of_the_user_overrules_what_is_found() -> None:
    assert found(repeated(1, 2, 3), categorical=("c",)).columns.columns[0].levels == ("1", "2", "3")
    assert found(repeated("1", "2", "a"), numeric=("c",)).columns.columns[0].kind == "number"


def test_cells_that_are_no_numbers_are_told_and_many_of_them_make_a_category() -> None:
    few = found([*map(str, range(ROWS)), "oops"])
    assert few.columns.columns[0].kind == "number"
    assert few.others == (("c", (ROWS,)),)
    many = found(repeated("1", "2", "3", "a"))
    assert many.columns.columns[0].levels == ("1", "2", "3", "a")


def test_numbers_among_too_many_texts_are_refused_with_all_columns_at_fault() -> None:
    half = [str(row) if row % 5 else f"text {row}" for row in range(4 * MOST_LEVELS)]
    frame = pd.DataFrame({"a": half, "b": half, "c": range(len(half))})
    with pytest.raises(DataError) as caught:
        find_columns(frame, "t.csv")
    assert str(caught.value) == (
        "t.csv: a column must hold numbers or up to 100 different texts, found 'a' (400 different texts, 80 % "
        "numbers), 'b' (400 different texts, 80 % numbers); correct the cells, or leave out a,b"
    )
    assert caught.value.parameter == "drop"


def test_reason_of_each_dropped_column_is_told() -> None:
    frame = pd.DataFrame(
        {
            "kept": np.arange(ROWS) % 7 / 2,
            "constant": ["x"] * ROWS,
            "same": [2.5] * ROWS,
            "empty": [None] * ROWS,
            "note": [f"a longer text of several words, number {row}" for row in range(ROWS)],
            "lists": [[row] for row in range(ROWS)],
        }
    )
    columns = find_columns(frame, "t.csv")
    assert columns.columns.names == ("kept",)
    assert dict(columns.dropped) == {
        "constant": "always 'x'",
        "same": "always 2.5",
        "empty": "empty",
        "note": "an id: 60 different texts in 60 rows",
        "lists": "holds lists",
    }
    free = pd.DataFrame({"note": [f"about {row % 40} words of text" for row in range(200)], "x": range(200)})
    assert dict(find_columns(free, "t.csv").dropped) == {"note": "free text: 40 different texts"}


def test_columns_that_name_rows_are_identifiers() -> None:
    frame = pd.DataFrame(
        {
            "": range(ROWS),
            "rownames": [f"r{row % 3}" for row in range(ROWS)],
            "number": range(100, 100 + ROWS),
            "shuffled": np.random.default_rng(0).permutation(ROWS),
            "key": [f"k{row}" for row in range(ROWS)],
            "mass": np.arange(ROWS) / 2,
            "day": pd.date_range("2024-01-01", periods=ROWS).astype(str),
        }
    )
    assert find_identifiers(frame, kept=("shuffled",)) == {
        "": "the rows' names",
        "rownames": "the rows' names",
        "number": "counts the rows",
        "key": "an id: 60 different texts in 60 rows",
    }
    assert "shuffled" in find_identifiers(frame)


def test_levels_seen_once_and_beyond_the_most_frequent_share_a_code() -> None:
    values = ["often"] * 5 + ["twice"] * 2 + ["once"]
    column = found(values).columns.columns[0]
    assert column.levels == ("often", "twice")
    assert column.code(pd.Series(["twice", "once", "new", None, "often"]))[:, 0].tolist()[:3] == [1, 2, 2]
    many = [f"level {row // 2:03}" for row in range(2 * MOST_LEVELS + 10)]
    assert len(found([*many, *many]).columns.columns[0].levels) == MOST_LEVELS


def test_dates_become_days_month_weekday_and_hour() -> None:
    column = found(repeated("2024-01-31 06:00:00", "2024-02-01 18:00:00")).columns.columns[0]
    assert (column.kind, column.start, column.has_clock) == ("date", "2024-01-31", True)
    assert [coded.name for coded in column.coded] == ["c", "c (month)", "c (weekday)", "c (hour)"]
    coded = column.code(pd.Series(["2024-01-31 06:00:00", "2024-02-04 12:00:00", None]))
    np.testing.assert_array_equal(coded, [[0.25, 1, 2, 6], [4.5, 2, 6, 12], [np.nan] * 4])
    typed = column.code(pd.Series(pd.to_datetime(["2024-01-31 06:00:00"])))
    np.testing.assert_array_equal(typed, [[0.25, 1, 2, 6]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series(["1.50", " 2 ", "", "x", "1e3"]), [1.5, 2, np.nan, np.nan, 1000]),
        (pd.Series([1, 2, 3, 4, 5]), [1, 2, 3, 4, 5]),
        (pd.Series([True, False, True, True, False]), [1, 0, 1, 1, 0]),
        (pd.Series([1.5, np.inf, np.nan, 2, 1e300]), [1.5, np.nan, np.nan, 2, np.nan]),
    ],
)
def test_numbers_of_any_type_are_coded_alike(values: pd.Series, expected: list[float]) -> None:
    np.testing.assert_array_equal(Column("c", "number").code(values)[:, 0], np.array(expected, np.float32))


def test_categories_of_any_type_are_coded_alike() -> None:
    numbers = Column("c", "category", levels=("0", "1"))
    for values in (["1", "0", "7"], [1.0, 0.0, 7.0], [1, 0, 7], ["1.0", " 0", "7"]):
        assert numbers.code(pd.Series(values))[:, 0].tolist() == [1, 0, 2]
    answers = Column("c", "category", levels=("False", "True"))
    for answer in (["TRUE", "false"], [True, False], ["True", "False "]):
        assert answers.code(pd.Series(answer))[:, 0].tolist() == [1, 0]


def test_columns_survive_json_and_keep_the_order_of_the_model() -> None:
    frame = pd.DataFrame({"a": np.arange(ROWS) % 9, "b": repeated("p", "q"), "d": repeated("2024-01-31", "2024-05-01")})
    columns = find_columns(frame, "t.csv").columns
    again = Columns.from_dict(json.loads(json.dumps(columns.as_dict())))
    assert again == columns
    shuffled = frame[["d", "b", "a"]].assign(extra=1)
    np.testing.assert_array_equal(columns.code(frame, "x"), again.code(shuffled, "x"))
    with pytest.raises(ValueError, match="no known kind"):
        Columns.from_dict([{"name": "a", "kind": "picture"}])
