"""Names of classes, columns and files: what is refused, their order, and the names made from them."""

from __future__ import annotations

import pytest

from insects.tables.names import (
    LONGEST_NAME,
    are_whole_numbers,
    canonical,
    checked_name,
    ordered_classes,
    source_name,
    stem,
)


def test_name_loses_surrounding_blanks_only() -> None:
    assert checked_name("  Apis mellifera\t") == "Apis mellifera"
    assert checked_name("虫 'a', \"b\"") == "虫 'a', \"b\""
    assert checked_name("n" * LONGEST_NAME) == "n" * LONGEST_NAME


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" \t", "must not be empty; fill it in or leave the row out"),
        ("a\nb", "must not hold control characters, found 'a\\nb'; take them out"),
        ("\x1b[31m", "must not hold control characters, found '\\x1b[31m'; take them out"),
        ("\ud800", "must not hold control characters, found '\\ud800'; take them out"),
        ("n" * 256, f"must have at most 255 characters, found 256: '{'n' * 39}…'; shorten it"),
    ],
)
def test_name_that_cannot_be_shown_or_stored_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        checked_name(text)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("labels", "classes", "codes"),
    [
        (["10", "9", "-1"], ("-1", "9", "10"), [2, 1, 0]),
        (["2", "1.0", "+2", "01"], ("1", "2"), [1, 0, 1, 0]),
        (["10", "9", "x"], ("10", "9", "x"), [0, 1, 2]),
        (["1.5", "10", "007"], ("007", "1.5", "10"), [1, 2, 0]),
        (["é", "z", "True"], ("True", "z", "é"), [2, 1, 0]),
        (["b"], ("b",), [0]),
    ],
)
def test_classes_are_sorted_as_numbers_if_all_are_whole_numbers(
    labels: list[str], classes: tuple[str, ...], codes: list[int]
) -> None:
    found, code = ordered_classes(labels)
    assert found == classes
    assert code.tolist() == codes
    assert code.dtype == "int32"


@pytest.mark.parametrize(
    ("text", "is_whole"),
    [
        ("7", True),
        ("-07.", True),
        ("+1.00", True),
        ("1.5", False),
        ("1e3", False),
        ("1_000", False),
        ("٣", False),
        ("", False),
        ("9" * LONGEST_NAME, True),
        ("9" * 5000, False),  # more digits than Python turns into a number
    ],
)
def test_whole_numbers_have_ascii_digits_and_no_fraction(text: str, is_whole: bool) -> None:
    assert are_whole_numbers([text]) == is_whole
    assert not are_whole_numbers(["1", text, "x"])


@pytest.mark.parametrize(("text", "number"), [("+07.0", "7"), ("-0", "0"), ("-12.", "-12"), ("9" * 30, "9" * 30)])
def test_equal_whole_numbers_have_one_text(text: str, number: str) -> None:
    assert canonical(text) == number


def test_name_of_a_file_in_messages_is_one_line() -> None:
    assert source_name("data/t.csv") == "data/t.csv"
    assert source_name("a\nb.csv") == "a\\nb.csv"
    assert source_name("-") == "standard input"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/My flowers (2024).csv.gz", "My-flowers-2024"),
        ("t.parquet", "t"),
        ("v1.2.csv.ZIP", "v1.2"),
        ("Käfer.csv", "Kafer"),
        ("虫.csv", "table"),
        ("-", "table"),
        (".csv", "table"),
        ("n" * 80 + ".csv", "n" * 60),
        ("folder", "folder"),
    ],
)
def test_study_is_named_after_its_file(path: str, name: str) -> None:
    assert stem(path) == name
