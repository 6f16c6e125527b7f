"""Reading CSV files: the arrays of good ones, the error of bad ones, by both parsers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from insects.splits import table_digest
from insects.tables import csv_reader
from insects.tables.labelled import read_rows_like, read_table
from tests.support.csv_cases import GOOD, Write, error_of, message_of


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
@pytest.mark.usefixtures("parser")
def test_line_ends_quotes_and_blanks_do_not_change_the_table(write: Write, content: str) -> None:
    table = read_table(write(content))
    assert (table.features, table.classes, table.source) == (("a", "b"), ("bee", "fly"), "t.csv")
    np.testing.assert_array_equal(table.x, [[1, 2], [3, 4]])
    assert table.y.tolist() == [0, 1]
    assert table.x.dtype == np.float32
    assert table.y.dtype == np.int32
    assert table.x.flags.c_contiguous
    assert table.x.flags.writeable


@pytest.mark.usefixtures("parser")
def test_quoted_cells_may_hold_commas_quotes_and_newlines(write: Write) -> None:
    table = read_table(
        write('labels,a,note\n"bee, small",1,"two\nlines"\n"""fly""",2,"a,b"\n"bee, small",3,\n'), features=["a"]
    )
    assert table.classes == ('"fly"', "bee, small")
    assert table.y.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(table.x, [[1], [2], [3]])


@pytest.mark.usefixtures("parser")
def test_values_are_the_nearest_float32(write: Write) -> None:
    table = read_table(write("labels,a\nx,0.1\ny,3.4028235677973362e38\ny,-1e-46\nx,99999999999999999999\n"))
    np.testing.assert_array_equal(table.x[:, 0], np.array([0.1, 3.4028235e38, 0, 1e20], np.float32))
    assert not np.signbit(table.x[2, 0])  # -0.0 is stored as 0.0: equal rows have equal bits


def test_size_of_blocks_changes_neither_table_nor_line_numbers(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_pandas_and_csv_parse_the_same_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_ten_thousand_columns_are_read(write: Write) -> None:
    path = write("labels," + ",".join(f"c{n}" for n in range(10_000)) + "\n" + ("x" + ",1.5" * 10_000 + "\n") * 10)
    assert read_table(path).x.sum() == 150_000


def test_small_file_is_read_without_pandas(write: Write) -> None:
    path = write(GOOD)
    read = "from insects.tables.labelled import read_table; read_table('t.csv')"
    code = f"import sys; {read}; print('pandas' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=path.parent,
        env={"PYTHONPATH": str(Path(csv_reader.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False\n"


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
            "labels,a,a\nx,1,2\n",
            "t.csv, line 1: a column name must occur once, found 'a' as columns 2 and 3; rename one",
        ),
        (
            '"a\nb",labels\n0,x\n',
            "t.csv, line 2: the name of column 1 must not hold control characters, found 'a\\nb'; take them out",
        ),
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
            "fill it in, leave the row out, or choose other input columns",
        ),
        (
            "labels,a\nx,1\ny,two\nz,three\n",
            "t.csv, line 3, column 'a': a feature must be a number, found 'two'; "
            "correct it, or choose other input columns",
        ),
        (
            "labels,a\nx,NaN\n",
            "t.csv, line 2, column 'a': a feature must be finite, found 'NaN'; "
            "correct it, leave the row out, or choose other input columns",
        ),
        (
            "labels,a\nx,1\ny,-inf\n",
            "t.csv, line 3, column 'a': a feature must be finite, found '-inf'; "
            "correct it, leave the row out, or choose other input columns",
        ),
        (
            "labels,a\nx,1\ny,-3.4028235677973367e38\n",
            "t.csv, line 3, column 'a': a feature must fit into float32 (up to 3.4e38), "
            "found '-3.4028235677973367e38'; rescale the column, or choose other input columns",
        ),
        (
            "labels,a\nx,1\ny,1e39\n",
            "t.csv, line 3, column 'a': a feature must fit into float32 (up to 3.4e38), found '1e39'; "
            "rescale the column, or choose other input columns",
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
            f"labels,a\n{'n' * 256},1\n",
            f"t.csv, line 2, column 'labels': must have at most 255 characters, found 256: '{'n' * 39}…'; shorten it",
        ),
    ],
)
@pytest.mark.usefixtures("parser")
def test_malformed_file_is_refused_in_one_line(write: Write, content: str | bytes, message: str) -> None:
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
@pytest.mark.usefixtures("parser")
def test_cell_that_is_not_a_decimal_number_is_refused(write: Write, cell: str) -> None:
    path = write(f"labels,a\nx,1\ny,{cell}\n")
    assert message_of(lambda: read_table(path)).startswith(
        "t.csv, line 3, column 'a': a feature must be a number, found "
    )


def test_number_with_thousands_separators_is_refused(write: Write) -> None:
    path = write('labels,a\nx,"1,000"\n')
    assert "line 2, column 'a': a feature must be a number, found '1,000'" in message_of(lambda: read_table(path))


def test_values_are_shortened_and_escaped_in_messages(write: Write) -> None:
    path = write(f'labels,a\nx,"\x1b[31m\n{"z" * 100}"\n')
    assert r"found '\x1b[31m\nzzz" in message_of(lambda: read_table(path))
    assert len(message_of(lambda: read_table(path))) < 200


def test_missing_file_folder_and_too_long_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    assert message_of(lambda: read_table("no\n.csv")) == "there is no file 'no\\n.csv'; check the path"
    assert message_of(lambda: read_table("folder")) == "'folder' is a folder; give the CSV file in it"
    long = "n" * 300
    assert "cannot be read: File name too long" in message_of(lambda: read_table(long))


def test_device_is_refused() -> None:
    assert message_of(lambda: read_table("/dev/zero")) == "'/dev/zero' is a device; give a CSV file"


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and cannot be read")
def test_file_that_opens_but_cannot_be_read_is_refused() -> None:
    assert message_of(lambda: read_table("/proc/self/mem")).startswith("'/proc/self/mem' cannot be read: ")


def test_file_without_read_permission_is_refused(write: Write) -> None:
    path = write(GOOD)
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        assert message_of(lambda: read_table(path)) == (
            "'t.csv' cannot be read: Permission denied; check the file and its permissions"
        )
    else:
        pytest.skip("this user may read every file")


def test_bad_feature_can_be_fixed_by_other_features(write: Write) -> None:
    path = write("labels,a\nx,two\n")
    assert error_of(lambda: read_table(path)).parameter == "features"
    path = write("labels,a\n,2\n")
    assert error_of(lambda: read_table(path)).parameter is None
