"""CSV files that are no table to train on: the one line that each gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from insects.tables.labelled import read_rows_like, read_table
from tests.insects.csv_cases import GOOD, Write, message_of


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "t.csv is empty; it needs a header line with the column names, and rows"),
        ("\n \n", "t.csv is empty; it needs a header line with the column names, and rows"),
        ("labels,a\n\n", "t.csv has a header but no rows; add some"),
        (
            b"labels,a\nx,1\n\xff,2\n",
            "t.csv, line 3: a CSV file must be UTF-8, found other bytes; export the table as CSV (UTF-8)",
        ),
        (
            GOOD.encode("utf-16"),
            "t.csv, line 1: a CSV file must be text, found a NUL byte; export the table as CSV (UTF-8)",
        ),
        (
            "labels,a\nx,1\ny\0,2\n",
            "t.csv, line 3: a CSV file must be text, found a NUL byte; export the table as CSV (UTF-8)",
        ),
        (
            "label,a\nx,1\n",
            "t.csv has no label column 'labels'; did you mean 'label'? Its columns are 'label', 'a'",
        ),
        ("x,a\ny,1\n", "t.csv has no label column 'labels'; choose with --target. Its columns are 'x', 'a'"),
        ("labels;a\nx;1\n", "t.csv: cells must be separated by commas, the header is 'labels;a'; export it so"),
        (
            "labels,a,a\nx,1,2\n",
            "t.csv, line 1: a column name must occur once, found 'a' as columns 2 and 3; rename one",
        ),
        (
            ",labels,a\n0,x,1\n",
            "t.csv: an input column must have a name, column 1 has none; "
            "name it in the header, or name the inputs with --features",
        ),
        (
            '"a\nb",labels\n0,x\n',
            "t.csv, line 2: the name of column 1 must not hold control characters, found 'a\\nb'; take them out",
        ),
        ("labels\nx\ny\n", "t.csv: there must be an input column beside the labels, found 'labels' only"),
        ("labels,a,b\nx,1,2\ny,3\n", "t.csv, line 3: a row must have 3 cells like the header, found 2"),
        ("labels,a,b\nx,1,2\n\ny,3,4,5\n", "t.csv, line 4: a row must have 3 cells like the header, found 4"),
        ("labels,a\nx,1\ny,2,\n", "t.csv, line 3: a row must have 2 cells like the header, found 3"),
        (
            "labels,a\nx,1\n,2\n",
            "t.csv, line 3, column 'labels': must not be empty; fill it in or leave the row out",
        ),
        (
            "labels,a\nx,1\ny,\n",
            "t.csv, line 3, column 'a': a feature must have a value, found an empty cell; "
            "fill it in or leave the row out",
        ),
        (
            "labels,a\nx,1\ny,two\nz,three\n",
            "t.csv, line 3, column 'a': a feature must be a number, found 'two'; "
            "correct it or name the inputs with --features",
        ),
        (
            "labels,a\nx,NaN\n",
            "t.csv, line 2, column 'a': a feature must be finite, found 'NaN'; correct it or leave the row out",
        ),
        (
            "labels,a\nx,1\ny,-inf\n",
            "t.csv, line 3, column 'a': a feature must be finite, found '-inf'; correct it or leave the row out",
        ),
        (
            "labels,a\nx,1\ny,-3.4028235677973367e38\n",
            "t.csv, line 3, column 'a': a feature must fit into float32 (up to 3.4e38), "
            "found '-3.4028235677973367e38'; rescale the column",
        ),
        (
            "labels,a\nx,1\ny,1e39\n",
            "t.csv, line 3, column 'a': a feature must fit into float32 (up to 3.4e38), found '1e39'; "
            "rescale the column",
        ),
        (
            'labels,a\nx,1\n"y,2\nz,3\n',
            "t.csv, line 3: the row is not valid CSV: unexpected end of data; check its quotes",
        ),
        (
            'labels,a\nx,1\ny,"2"3\n',
            "t.csv, line 3: the row is not valid CSV: ',' expected after '\"'; check its quotes",
        ),
        (
            "labels,a\n" + "".join(f"{n / 7},1\n" for n in range(50)),
            "t.csv: a label column must hold few classes with many rows each, column 'labels' has "
            "50 different values in 50 rows; choose the label column with --target",
        ),
        (
            f"labels,a\n{'n' * 256},1\n",
            f"t.csv, line 2, column 'labels': must have at most 255 characters, found 256: '{'n' * 39}…'; shorten it",
        ),
    ],
)
@pytest.mark.usefixtures("way")
def test_bad_file_gets_one_line(write: Write, content: str | bytes, message: str) -> None:
    path = write(content)
    assert message_of(lambda: read_table(path)) == message


@pytest.mark.parametrize(
    "cell",
    [
        "1_000",
        "0x10",
        "1 000",
        "1e",
        "True",
        "1d5",
        "--1",
        ".",
        "1.2.3",
        "١",
        "１",
        "1\xa0",
        "NA",
        "1j",
        "infinite",
        "$5",
    ],
)
@pytest.mark.usefixtures("way")
def test_what_is_no_decimal_number_is_no_feature(write: Write, cell: str) -> None:
    path = write(f"labels,a\nx,1\ny,{cell}\n")
    assert message_of(lambda: read_table(path)).startswith(
        "t.csv, line 3, column 'a': a feature must be a number, found "
    )


def test_thousands_separators_are_no_numbers(write: Write) -> None:
    path = write('labels,a\nx,"1,000"\n')
    assert "line 2, column 'a': a feature must be a number, found '1,000'" in message_of(lambda: read_table(path))


def test_values_are_shortened_and_escaped_in_messages(write: Write) -> None:
    path = write(f'labels,a\nx,"\x1b[31m\n{"z" * 100}"\n')
    assert r"found '\x1b[31m\nzzz" in message_of(lambda: read_table(path))
    assert len(message_of(lambda: read_table(path))) < 200


@pytest.mark.parametrize(
    ("target", "features", "message"),
    [
        (
            "labels",
            ["a", "c"],
            "t.csv has no input column 'c'; choose with --features. Its columns are 'labels', 'a', 'b'",
        ),
        (
            "labels",
            ["a", "labels"],
            "t.csv: the label column 'labels' must not be an input too; take it out of --features",
        ),
        ("labels", ["a", "a"], "t.csv: an input column must be named once, found 'a', 'a'"),
        ("labels", [], "t.csv: there must be an input column beside the labels, found 'labels' only"),
    ],
)
def test_bad_choice_of_columns_gets_one_line(write: Write, target: str, features: list[str], message: str) -> None:
    path = write(GOOD)
    assert message_of(lambda: read_table(path, target, features)) == message


def test_many_columns_are_not_all_listed(write: Write) -> None:
    path = write(",".join(f"c{n}" for n in range(10_000)) + "\n")
    assert message_of(lambda: read_table(path)).endswith("'c8', 'c9' and 9990 more")


def test_missing_file_folder_and_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    assert message_of(lambda: read_table("no\n.csv")) == "there is no file 'no\\n.csv'; check the path"
    assert message_of(lambda: read_table("folder")) == "'folder' is a folder; give the CSV file in it"
    long = "n" * 300
    assert "cannot be read: File name too long" in message_of(lambda: read_table(long))


def test_device_is_not_read_without_end() -> None:
    assert message_of(lambda: read_table("/dev/zero")) == "'/dev/zero' is a device; give a CSV file"


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and cannot be read")
def test_file_that_cannot_be_read() -> None:
    assert message_of(lambda: read_table("/proc/self/mem")).startswith("'/proc/self/mem' cannot be read: ")


def test_file_without_read_permission(write: Write) -> None:
    path = write(GOOD)
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        assert message_of(lambda: read_table(path)) == (
            "'t.csv' cannot be read: Permission denied; check the file and its rights"
        )
    else:
        pytest.skip("this user may read every file")


@pytest.mark.usefixtures("way")
def test_label_that_training_never_saw_is_named_with_its_line(write: Write) -> None:
    path = write("labels,a\nbee,1\nwasp,2\n")
    assert message_of(lambda: read_rows_like(path, ["a"], ["bee", "fly"])) == (
        "t.csv, line 3, column 'labels': a label must be one of the classes trained on ('bee', 'fly'), found 'wasp'; "
        "correct it or leave the row out"
    )


def test_rows_like_need_every_feature_of_the_model(write: Write) -> None:
    path = write("labels,a,feature_2\nbee,1,2\n")
    assert message_of(lambda: read_rows_like(path, ["a", "feature2"], ["bee", "fly"])) == (
        "t.csv has no input column 'feature2'; did you mean 'feature_2'? Its columns are 'labels', 'a', 'feature_2'"
    )
