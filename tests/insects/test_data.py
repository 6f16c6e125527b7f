"""CSV files: what is read from good ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from insects.splits import table_digest
from insects.tables import csv_reader
from insects.tables.labelled import read_rows_like, read_table
from tests.insects.csv_cases import GOOD, Write, message_of


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


def test_ten_thousand_columns_are_read(write: Write) -> None:
    path = write("labels," + ",".join(f"c{n}" for n in range(10_000)) + "\n" + ("x" + ",1.5" * 10_000 + "\n") * 10)
    assert read_table(path).x.sum() == 150_000


def test_unnamed_column_is_passed_over_when_features_are_named(write: Write) -> None:
    assert read_table(write(",labels,a\n0,x,1\n1,y,2\n"), features=["a"]).x.tolist() == [[1], [2]]


@pytest.mark.usefixtures("way")
def test_rows_like_are_read_by_name_in_the_models_order(write: Write) -> None:
    table = read_rows_like(write("extra,b,labels,a\n?,1,fly,2\n!,3,fly,4\n"), ["a", "b"], ["bee", "fly"])
    assert (table.features, table.classes) == (("a", "b"), ("bee", "fly"))
    np.testing.assert_array_equal(table.x, [[2, 1], [4, 3]])
    assert table.y.tolist() == [1, 1]


@pytest.mark.usefixtures("way")
def test_rows_like_know_whole_numbers_however_written(write: Write) -> None:
    assert read_rows_like(write("labels,a\n10.0,1\n09,2\n"), ["a"], ["9", "10"]).y.tolist() == [1, 0]


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
    code = "import sys; from insects.tables.labelled import read_table; read_table('t.csv'); print('pandas' in sys.modules)"
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
