"""Labelled tables: classes and their order, choice of columns, rows for a trained model."""

from __future__ import annotations

import numpy as np
import pytest

from insects.tables.labelled import read_rows_like, read_table
from tests.support.csv_cases import GOOD, Write, error_of, message_of


@pytest.mark.usefixtures("parser")
def test_features_are_read_in_the_order_they_are_named(write: Write) -> None:
    table = read_table(write("b,kind,text,a\n1,x,hello,2\n3,y,,4\n"), target="kind", features=["a", "b"])
    assert table.features == ("a", "b")
    np.testing.assert_array_equal(table.x, [[2, 1], [4, 3]])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "9", "-1", "9"], ("-1", "9", "10")),
        (["1.0", "2.", "1", "+2"], ("1", "2")),
        (["02", "2", "10"], ("2", "10")),
        (["99999999999999999999999", "3"], ("3", "99999999999999999999999")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["1.0", "1", "x"], ("1", "1.0", "x")),
        (["1.5", "10", "007"], ("007", "1.5", "10")),
        (["NA", "null", "nan", "None"], ("NA", "None", "nan", "null")),
        (["é", "z", "蜂", "True"], ("True", "z", "é", "蜂")),
    ],
)
@pytest.mark.usefixtures("parser")
def test_classes_are_sorted_as_numbers_or_as_text(write: Write, labels: list[str], classes: tuple[str, ...]) -> None:
    table = read_table(write("labels,a\n" + "".join(f"{label},1\n" for label in labels)))
    assert table.classes == classes
    if len(set(labels)) == len(classes):
        assert [classes[code] for code in table.y] == labels


def test_unnamed_column_is_skipped_when_features_are_named(write: Write) -> None:
    assert read_table(write(",labels,a\n0,x,1\n1,y,2\n"), features=["a"]).x.tolist() == [[1], [2]]


@pytest.mark.usefixtures("parser")
def test_rows_for_a_model_are_read_by_name_in_its_order(write: Write) -> None:
    table = read_rows_like(write("extra,b,labels,a\n?,1,fly,2\n!,3,fly,4\n"), ["a", "b"], ["bee", "fly"])
    assert (table.features, table.classes) == (("a", "b"), ("bee", "fly"))
    np.testing.assert_array_equal(table.x, [[2, 1], [4, 3]])
    assert table.y.tolist() == [1, 1]


@pytest.mark.usefixtures("parser")
def test_rows_for_a_model_match_whole_numbers_however_they_are_written(write: Write) -> None:
    assert read_rows_like(write("labels,a\n10.0,1\n09,2\n"), ["a"], ["9", "10"]).y.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("content", "message", "parameter"),
    [
        (
            "label,a\nx,1\n",
            "t.csv has no label column 'labels', its columns are 'label', 'a'; did you mean 'label'?",
            "target",
        ),
        (
            "x,a\ny,1\n",
            "t.csv has no label column 'labels', its columns are 'x', 'a'; choose one of them",
            "target",
        ),
        ("labels;a\nx;1\n", "t.csv: cells must be separated by commas, the header is 'labels;a'; export it so", None),
        (
            ",labels,a\n0,x,1\n",
            "t.csv: an input column must have a name, column 1 has none; "
            "name it in the header, or choose the input columns",
            "features",
        ),
        ("labels\nx\ny\n", "t.csv: there must be an input column beside the labels, found 'labels' only", None),
        (
            "labels,a\n" + "".join(f"{n / 7},1\n" for n in range(50)),
            "t.csv: a label column must hold few classes with many rows each, column 'labels' has "
            "50 different values in 50 rows; choose another label column",
            "target",
        ),
    ],
)
@pytest.mark.usefixtures("parser")
def test_file_without_a_label_or_input_column_is_refused_in_one_line(
    write: Write, content: str, message: str, parameter: str | None
) -> None:
    path = write(content)
    error = error_of(lambda: read_table(path))
    assert (str(error), error.parameter) == (message, parameter)


@pytest.mark.parametrize(
    ("target", "features", "message"),
    [
        (
            "labels",
            ["a", "c"],
            "t.csv has no input column 'c', its columns are 'labels', 'a', 'b'; choose one of them",
        ),
        (
            "labels",
            ["a", "labels"],
            "t.csv: the label column 'labels' must not be an input too; take it out of the input columns",
        ),
        ("labels", ["a", "a"], "t.csv: an input column must be named once, found 'a', 'a'"),
        ("labels", [], "t.csv: there must be an input column beside the labels, found 'labels' only"),
    ],
)
def test_bad_choice_of_columns_is_refused(write: Write, target: str, features: list[str], message: str) -> None:
    path = write(GOOD)
    error = error_of(lambda: read_table(path, target, features))
    assert str(error) == message
    assert error.parameter == ("features" if features else None)


@pytest.mark.usefixtures("parser")
def test_label_that_the_model_was_not_trained_on_is_named_with_its_line(write: Write) -> None:
    path = write("labels,a\nbee,1\nwasp,2\n")
    assert message_of(lambda: read_rows_like(path, ["a"], ["bee", "fly"])) == (
        "t.csv, line 3, column 'labels': a label must be one of the classes trained on ('bee', 'fly'), found 'wasp'; "
        "correct it or leave the row out"
    )


def test_rows_like_need_every_feature_of_the_model(write: Write) -> None:
    path = write("labels,a,feature_2\nbee,1,2\n")
    assert message_of(lambda: read_rows_like(path, ["a", "feature2"], ["bee", "fly"])) == (
        "t.csv has no input column 'feature2', its columns are 'labels', 'a', 'feature_2'; did you mean 'feature_2'?"
    )


def test_many_columns_are_not_all_listed(write: Write) -> None:
    path = write(",".join(f"c{n}" for n in range(10_000)) + "\n")
    assert message_of(lambda: read_table(path)).endswith("'c8', 'c9' and 9990 more; choose one of them")
