"""Cells as texts, numbers and times."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from insects.tables.cells import DATE_FORMATS, date_format_of, numbers, texts, times


def test_texts_are_trimmed_and_equal_values_have_one_text() -> None:
    found = texts(pd.Series([" red ", "red", "1.0", "1", "TRUE", "true", "", "?", None], dtype=object))
    assert found.texts == ("red", "1", "True")
    assert found.code.tolist() == [0, 0, 1, 1, 2, 2, -1, -1, -1]
    assert found.counts.tolist() == [2, 2, 2]
    assert found.known == 6


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1.0, 2.0, np.nan]),
        pd.Series([1, 2, None], dtype="Int64").astype(float),
        pd.Series(["1", "2.0", "NA"]),
    ],
)
def test_texts_of_numbers_do_not_depend_on_their_type(values: pd.Series) -> None:
    found = texts(values)
    assert found.texts == ("1", "2")
    assert found.code.tolist() == [0, 1, -1]


def test_numbers_in_texts_are_parsed_and_others_are_gaps() -> None:
    cells = pd.Series(["1", " -2.5e3 ", "NA", "", "x", "1_000", "inf", "0x1F", "٣"])
    np.testing.assert_array_equal(numbers(cells)[:4], [1, -2500, np.nan, np.nan])
    assert np.isnan(numbers(cells)[4:8]).all()
    assert numbers(cells)[8] == 3  # a digit of another script
    np.testing.assert_array_equal(numbers(pd.Series(["1,5", "2", None]), decimal=","), [1.5, 2, np.nan])


@pytest.mark.parametrize(
    "cell", ["1_000", "0x10", "1 000", "1,000", "1e", "True", "1d5", "--1", ".", "1.2.3", "1j", "-inf", "1e400", "$5"]
)
def test_cell_that_is_not_a_finite_decimal_number_is_none(cell: str) -> None:
    assert np.isnan(numbers(pd.Series([cell, "2"]))).tolist() == [True, False]
    assert np.isnan(numbers(pd.Series([cell, "x"]))).all()
    assert texts(pd.Series([cell])).texts == (cell,)  # it is not missing


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series([1, 2], dtype="int8"), [1, 2]),
        (pd.Series([1.5, np.inf, -np.inf, np.nan]), [1.5, np.nan, np.nan, np.nan]),
        (pd.Series([True, False]), [1, 0]),
        (pd.Series([True, None, 2.5, "4"], dtype=object), [np.nan, np.nan, 2.5, 4]),
        (pd.Series(pd.to_datetime(["2024-01-31"])), [np.nan]),
    ],
)
def test_numbers_of_every_type(values: pd.Series, expected: list[float]) -> None:
    np.testing.assert_array_equal(numbers(values), expected)


def test_numbers_of_texts_are_the_same_whether_all_of_them_are_numbers_or_not() -> None:
    generator = np.random.default_rng(0)
    cells = [repr(value) for value in (generator.normal(size=500) * 10.0 ** generator.integers(-30, 30, 500)).tolist()]
    np.testing.assert_array_equal(numbers(pd.Series(cells)), numbers(pd.Series([*cells, "x"]))[:-1])
    np.testing.assert_array_equal(numbers(pd.Series(cells)), list(map(float, cells)))


@pytest.mark.parametrize(
    ("cell", "date_format", "expected"),
    [
        ("2024-02-29", "%Y-%m-%d", "2024-02-29T00:00:00"),
        ("31/12/2023", "%d/%m/%Y", "2023-12-31T00:00:00"),
        ("12/31/2023", "%m/%d/%Y", "2023-12-31T00:00:00"),
        ("31.12.2023 17:05", "%d.%m.%Y %H:%M", "2023-12-31T17:05:00"),
        ("3 Mar 2021", "%d %b %Y", "2021-03-03T00:00:00"),
        ("2024-02-29T10:00:00Z", "ISO8601", "2024-02-29T10:00:00"),
        ("2024-02-29T10:00:00+02:00", "ISO8601", "2024-02-29T08:00:00"),
    ],
)
def test_format_of_dates_is_found_and_read(cell: str, date_format: str, expected: str) -> None:
    found = texts(pd.Series([cell] * 5))
    assert date_format_of(found, 0.9) == date_format
    assert times(pd.Series([cell, None]), date_format)[0] == np.datetime64(expected)


@pytest.mark.parametrize("date_format", DATE_FORMATS)
def test_every_format_of_dates_is_found(date_format: str) -> None:
    days = [datetime(2024, month, 13 + month, 7 * month % 24, 30) for month in range(1, 13)]
    written = [day.isoformat() if date_format == "ISO8601" else day.strftime(date_format) for day in days]
    found = texts(pd.Series(written))
    known = date_format_of(found, 0.9)
    assert known is not None
    read = times(pd.Series(written), known)
    assert (read == times(pd.Series(written), date_format)).all()


def test_days_and_months_are_told_apart_by_all_cells_together() -> None:
    found = texts(pd.Series(["1/2/2024", "3/4/2024", "13/4/2024"]))
    assert date_format_of(found, 0.9) == "%d/%m/%Y"


@pytest.mark.parametrize(
    "cells",
    [["red", "green"], ["1.5", "2.5"], ["room 12", "room 13"], ["12-34", "56-78"], ["0/1", "1/1"], ["1234 Hill"]],
)
def test_texts_that_are_no_dates_have_no_format(cells: list[str]) -> None:
    assert date_format_of(texts(pd.Series(cells)), 0.9) is None
