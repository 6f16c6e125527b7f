"""Labelled tables: classes and their order, choice of columns, rows for a trained model."""

from __future__ import annotations

import numpy as np
import pytest

from insects.tables.columns import Column, Columns
from insects.tables.labelled import ColumnChoice, read_labelled, read_rows_like
from tests.support.csv_cases import GOOD, Write, error_of, message_of
from tests.support.tables import read_numbers


def test_features_are_read_in_the_order_they_are_named(write: Write) -> None:
    path = write("b,kind,text,a\n1,x,hello,2\n3,y,,4\n")
    table = read_numbers(path, ColumnChoice("kind", ("a", "b")))
    assert table.features == ("a", "b")
    np.testing.assert_array_equal(table.x, [[2, 1], [4, 3]])


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["10", "9", "-1", "9"], ("-1", "9", "10")),
        (["1.0", "2", "1", "+2"], ("1", "2")),
        (["02", "2", "10"], ("2", "10")),
        (["99999999999999999999999", "3"], ("3", "99999999999999999999999")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["1.5", "10", "007"], ("007", "1.5", "10")),
        (["None", "x"], ("None", "x")),
        (["é", "z", "蜂", "True"], ("True", "z", "é", "蜂")),
        (["TRUE", "false", "True"], ("False", "True")),
    ],
)
def test_classes_are_sorted_as_numbers_or_as_text(write: Write, labels: list[str], classes: tuple[str, ...]) -> None:
    labelled = read_labelled(write("labels,a\n" + "".join(f"{label},1\n" for label in labels)), ColumnChoice())
    assert labelled.classes == classes
    if len(set(labels)) == len(classes):
        assert [classes[code] for code in labelled.y] == labels


@pytest.mark.parametrize("missing", ["", "NA", "n/a".upper(), "nan", "?", "NULL"])
def test_rows_without_a_label_are_left_out_and_counted(write: Write, missing: str) -> None:
    labelled = read_labelled(write(f"labels,a\nx,1\n{missing},2\ny,3\n"), ColumnChoice())
    assert labelled.classes == ("x", "y")
    assert labelled.frame["a"].tolist() == [1, 3]
    assert labelled.notes == ("1 row without a label left out",)


def test_rare_classes_are_left_out_where_that_is_asked_for(write: Write) -> None:
    content = "labels,a\n" + "".join(f"{label},{n}\n" for n, label in enumerate("xxxxyyyyzzw"))
    labelled = read_labelled(write(content), ColumnChoice(), fewest_rows=3)
    assert labelled.classes == ("x", "y")
    assert labelled.y.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert labelled.notes == ("2 rare classes left out, 3 rows: 'w', 'z'",)


def test_groups_are_numbered_and_a_row_without_one_stands_alone(write: Write) -> None:
    path = write("labels,a,who\nx,1,ann\ny,2,\nx,3,bob\ny,4,ann\nx,5,\n")
    labelled = read_labelled(path, ColumnChoice(group="who"))
    assert labelled.groups is not None
    assert labelled.groups[0] == labelled.groups[3]
    assert len(set(labelled.groups.tolist())) == 4
    assert list(labelled.frame.columns) == ["a"]


BEES = Columns((Column("a", "number"), Column("b", "number")))


def test_rows_for_a_model_are_read_by_name_in_its_order(write: Write) -> None:
    path = write("extra,b,labels,a\n?,1,fly,2\n!,3,fly,4\n")
    table, notes = read_rows_like(path, BEES, ("bee", "fly"), "labels")
    assert (table.features, table.classes, notes) == (("a", "b"), ("bee", "fly"), ())
    np.testing.assert_array_equal(table.x, [[2, 1], [4, 3]])
    assert table.y.tolist() == [1, 1]


def test_rows_for_a_model_may_have_gaps_new_levels_and_no_label(write: Write) -> None:
    columns = Columns((Column("a", "number"), Column("c", "category", levels=("p", "q"))))
    path = write("labels,a,c\nbee,,q\n,1,p\nfly,x,new\nbee,3,\n")
    table, notes = read_rows_like(path, columns, ("bee", "fly"), "labels")
    np.testing.assert_array_equal(table.x, [[np.nan, 1], [np.nan, 2], [3, np.nan]])
    assert table.y.tolist() == [0, 1, 0]
    assert notes == ("1 row without a label left out",)


def test_rows_for_a_model_match_whole_numbers_however_they_are_written(write: Write) -> None:
    columns = Columns.of_numbers(["a"])
    assert read_rows_like(write("labels,a\n10.0,1\n09,2\n"), columns, ("9", "10"), "labels")[0].y.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("content", "message", "parameter"),
    [
        (
            "label,a\nx,1\n",
            "t.csv has no label column 'labels', its columns are 'label', 'a'; did you mean 'label'?",
            "target",
        ),
        ("x,a\ny,1\n", "t.csv has no label column 'labels', its columns are 'x', 'a'; choose one of them", "target"),
        ("labels\nx\ny\n", "t.csv: there must be an input column beside the labels, found 'labels' only", None),
        ("labels,a\n,1\nNA,2\n", "t.csv: no row has a label in column 'labels'; choose another", "target"),
        (
            "labels,a\n" + "".join(f"{n / 7},1\n" for n in range(50)),
            "t.csv: column 'labels' is a quantity, with 50 different numbers from 0 to 7; only classes can be learnt "
            "here: choose another label column, or cut the numbers into a few ranges",
            "target",
        ),
        (
            "labels,a\n" + "".join(f"name {n},1\n" for n in range(50)),
            "t.csv: a label column must hold few classes with many rows each, column 'labels' has 50 different values "
            "in 50 rows; choose another label column",
            "target",
        ),
        (
            f"labels,a\n{'n' * 256},1\n",
            f"t.csv, line 2, column 'labels': the label must have at most 255 characters, found 256: "
            f"'{'n' * 39}…'; shorten it",
            None,
        ),
    ],
)
def test_file_without_a_usable_label_or_input_column_is_refused_in_one_line(
    write: Write, content: str, message: str, parameter: str | None
) -> None:
    path = write(content)
    error = error_of(lambda: read_labelled(path, ColumnChoice()))
    assert (str(error), error.parameter) == (message, parameter)


@pytest.mark.parametrize(
    ("choice", "message", "parameter"),
    [
        (
            ColumnChoice(features=("a", "c")),
            "t.csv has no input column 'c', its columns are 'labels', 'a', 'b'; choose one of them",
            "features",
        ),
        (
            ColumnChoice(features=("a", "labels")),
            "t.csv: the label column 'labels' must not be an input too; take it out of the input columns",
            "features",
        ),
        (
            ColumnChoice(categorical=("a",), numeric=("b", "a")),
            "t.csv: a column is numeric or categorical, found 'a' as both; choose one",
            "numeric",
        ),
        (
            ColumnChoice(drop=("A",)),
            "t.csv has no dropped column 'A', its columns are 'labels', 'a', 'b'; choose one of them",
            "drop",
        ),
        (
            ColumnChoice(drop=("a", "b")),
            "t.csv: there must be an input column beside the labels, found 'labels' only",
            None,
        ),
        (
            ColumnChoice(group="who"),
            "t.csv has no group column 'who', its columns are 'labels', 'a', 'b'; choose one of them",
            "group",
        ),
    ],
)
def test_bad_choice_of_columns_is_refused(
    write: Write, choice: ColumnChoice, message: str, parameter: str | None
) -> None:
    path = write(GOOD)
    error = error_of(lambda: read_labelled(path, choice))
    assert (str(error), error.parameter) == (message, parameter)


def test_label_that_the_model_was_not_trained_on_is_named_with_its_line(write: Write) -> None:
    path = write("labels,a\nbee,1\nwasp,2\n")
    columns = Columns.of_numbers(["a"])
    assert message_of(lambda: read_rows_like(path, columns, ("bee", "fly"), "labels")) == (
        "t.csv, line 3, column 'labels': a label must be one of the classes trained on ('bee', 'fly'), found 'wasp'; "
        "correct it or leave the row out"
    )


def test_rows_like_need_every_column_of_the_model(write: Write) -> None:
    path = write("labels,a,feature_2\nbee,1,2\n")
    columns = Columns.of_numbers(["a", "feature2", "c"])
    assert message_of(lambda: read_rows_like(path, columns, ("bee", "fly"), "labels")) == (
        "t.csv lacks columns 'feature2', 'c' of the model; its columns are 'labels', 'a', 'feature_2'; "
        "add what is missing"
    )


def test_many_columns_are_not_all_listed(write: Write) -> None:
    path = write(",".join(f"c{n}" for n in range(10_000)) + "\n" + ",".join("1" * 10_000) + "\n")
    message = message_of(lambda: read_labelled(path, ColumnChoice()))
    assert message.endswith("'c8', 'c9' and 9990 more; choose one of them")
