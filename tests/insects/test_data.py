"""CSV files: what is read from good ones, and the one line that bad ones get."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from insects import csv_reader
from insects.data import read_rows_like, read_table
from insects.errors import DataError
from insects.splits import Table, table_digest

Write = Callable[[str | bytes], Path]
GOOD = "labels,a,b\nbee,1,2\nfly,3,4\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes `t.csv` into the working directory, so that messages begin with this name alone."""
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes) -> Path:
        path = Path("t.csv")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(params=["cell by cell", "pandas"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read a block; small files go cell by cell by themselves."""
    if request.param == "pandas":
        monkeypatch.setattr(csv_reader, "_SMALL", 0)
    return str(request.param)


def message_of(call: Callable[[], Table]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    assert str(caught.value).isprintable()
    return str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        "\ufeff" + GOOD,
        GOOD.rstrip("\n"),
        GOOD + "\n\n",
        "\n" + GOOD.replace("\nfly", "\n\n  \nfly"),
        '"labels","a","b"\n"bee","1","2"\n"fly","3","4"\n',
        'labels,a,b\n"bee",1,2\nfly,"3",4\n',
        " labels , a,b \n bee , 1 ,\t2\nfly,+3.,.4e1\n",
    ],
    ids=[
        "plain",
        "CRLF",
        "CR",
        "BOM",
        "no last newline",
        "blank end",
        "blank lines",
        "quotes",
        "some quotes",
        "blanks",
    ],
)
@pytest.mark.usefixtures("way")
def test_ways_to_write_one_table_give_one_table(write: Write, content: str) -> None:
    table = read_table(write(content))
    assert (table.features, table.classes, table.source) == (("a", "b"), ("bee", "fly"), "t.csv")
    np.testing.assert_array_equal(table.x, [[1, 2], [3, 4]])
    assert table.y.tolist() == [0, 1]
    assert table.x.dtype == np.float32
    assert table.y.dtype == np.int32
    assert table.x.flags.c_contiguous
    assert table.x.flags.writeable


@pytest.mark.usefixtures("way")
def test_quoted_cells_may_hold_commas_quotes_and_newlines(write: Write) -> None:
    table = read_table(
        write('labels,a,note\n"bee, small",1,"two\nlines"\n"""fly""",2,"a,b"\n"bee, small",3,\n'), features=["a"]
    )
    assert table.classes == ('"fly"', "bee, small")
    assert table.y.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(table.x, [[1], [2], [3]])


@pytest.mark.usefixtures("way")
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
@pytest.mark.usefixtures("way")
def test_class_names_and_their_order(write: Write, labels: list[str], classes: tuple[str, ...]) -> None:
    table = read_table(write("labels,a\n" + "".join(f"{label},1\n" for label in labels)))
    assert table.classes == classes
    if len(set(labels)) == len(classes):
        assert [classes[code] for code in table.y] == labels


@pytest.mark.usefixtures("way")
def test_values_are_the_nearest_float32(write: Write) -> None:
    table = read_table(write("labels,a\nx,0.1\ny,3.4028235677973362e38\ny,-1e-46\nx,99999999999999999999\n"))
    np.testing.assert_array_equal(table.x[:, 0], np.array([0.1, 3.4028235e38, 0, 1e20], np.float32))
    assert not np.signbit(table.x[2, 0])  # -0.0 is stored as 0.0: equal rows have equal bits


def test_blocks_make_one_table_with_right_lines(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f'"{"bee" if n % 3 else "fly"}",{n},"some\nnote"\n' if n % 5 == 0 else f"fly,{n},\n" for n in range(500)]
    path = write("labels,a,note\n" + "".join(rows))
    whole = read_table(path, features=["a"])
    np.testing.assert_array_equal(whole.x[:, 0], np.arange(500))
    for block in (10, 100, 1000):
        monkeypatch.setattr(csv_reader, "_BLOCK", block)
        monkeypatch.setattr(csv_reader, "_SMALL", 0)
        assert table_digest(read_table(path, features=["a"])) == table_digest(whole)
    bad_line = 2 + 499 + 100
    assert "".join(["labels,a,note\n", *rows]).split("\n")[bad_line - 1] == "fly,499,"
    write("labels,a,note\n" + "".join(rows).replace("fly,499,", "fly,oops,"))
    assert message_of(lambda: read_table(path, features=["a"])).startswith(f"t.csv, line {bad_line}, column 'a': ")


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


def test_ten_thousand_columns_are_read(write: Write) -> None:
    path = write("labels," + ",".join(f"c{n}" for n in range(10_000)) + "\n" + ("x" + ",1.5" * 10_000 + "\n") * 10)
    assert read_table(path).x.sum() == 150_000


def test_unnamed_column_is_passed_over_when_features_are_named(write: Write) -> None:
    assert read_table(write(",labels,a\n0,x,1\n1,y,2\n"), features=["a"]).x.tolist() == [[1], [2]]


def test_missing_file_folder_and_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    assert message_of(lambda: read_table("no\n.csv")) == "there is no file 'no\\n.csv'; check the path"
    assert message_of(lambda: read_table("folder")) == "'folder' is a folder; give the CSV file in it"
    long = "n" * 300
    assert "cannot be read: File name too long" in message_of(lambda: read_table(long))


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
def test_rows_like_are_read_by_name_in_the_models_order(write: Write) -> None:
    table = read_rows_like(write("extra,b,labels,a\n?,1,fly,2\n!,3,fly,4\n"), ["a", "b"], ["bee", "fly"])
    assert (table.features, table.classes) == (("a", "b"), ("bee", "fly"))
    np.testing.assert_array_equal(table.x, [[2, 1], [4, 3]])
    assert table.y.tolist() == [1, 1]


@pytest.mark.usefixtures("way")
def test_rows_like_know_whole_numbers_however_written(write: Write) -> None:
    assert read_rows_like(write("labels,a\n10.0,1\n09,2\n"), ["a"], ["9", "10"]).y.tolist() == [1, 0]


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


def test_pandas_reads_what_cell_by_cell_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((5000, 5)) * 10.0 ** generator.integers(-30, 30, (5000, 5))
    lines = [",".join(map(repr, row)) + f",{label}\n" for row, label in zip(x.tolist(), range(5000), strict=True)]
    (tmp_path / "t.csv").write_text("a,b,c,d,e,id\n" + "".join(lines))
    read = {}
    for small in (0, 1 << 30):
        monkeypatch.setattr(csv_reader, "_SMALL", small)
        read[small] = read_rows_like(tmp_path / "t.csv", list("abcde"), list(map(str, range(5000))), "id")
    np.testing.assert_array_equal(read[0].x, read[1 << 30].x)
    np.testing.assert_array_equal(read[0].x, x.astype(np.float32))
    np.testing.assert_array_equal(read[0].y, np.arange(5000))


def test_import_and_small_files_need_no_pandas(write: Write) -> None:
    code = "import sys; from insects.data import read_table; read_table('t.csv'); print('pandas' in sys.modules)"
    path = write(GOOD)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=path.parent,
        env={"PYTHONPATH": str(Path(csv_reader.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"
