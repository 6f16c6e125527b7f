"""Reading tables of every format: the cells of good files, the error of bad ones, blocks equal to the whole."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from insects.tables.frames import FrameBlocks, read_frame
from insects.tables.text_files import TableFormat
from tests.support.csv_cases import GOOD, Write, message_of
from tests.support.tables import read_numbers

MIXED = pd.DataFrame(
    {"kind": ["bee", "fly", "bee"], "mass": [1.5, np.nan, 2.5], "legs": [6, 6, 5], "flies": [True, False, True]}
)


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
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace(",", "|"),
        GOOD.encode("utf-16"),
    ],
    ids=[
        "plain", "CRLF", "CR", "BOM", "no last newline", "blank end", "blank lines", "quotes", "some quotes", "blanks",
        "semicolons", "tabs", "bars", "UTF-16",
    ],
)  # fmt: skip
def test_dialect_of_a_text_file_does_not_change_the_table(write: Write, content: str | bytes) -> None:
    table = read_numbers(write(content))
    assert (table.features, table.classes, table.source) == (("a", "b"), ("bee", "fly"), "t.csv")
    np.testing.assert_array_equal(table.x, [[1, 2], [3, 4]])
    assert table.y.tolist() == [0, 1]
    assert table.x.dtype == np.float32
    assert table.x.flags.c_contiguous


def test_decimal_commas_are_found_beside_semicolons(write: Write) -> None:
    table = read_numbers(write("labels;a;b\nbee;1,5;2\nfly;-3,25;4e0\n"))
    np.testing.assert_array_equal(table.x, [[1.5, 2], [-3.25, 4]])


def test_format_that_is_named_overrules_what_is_found(write: Write) -> None:
    path = write(b"labels;a,b\nbee;1,2\nfly;3,4\n")
    assert list(read_frame(path, TableFormat(separator=",")).cells.columns) == ["labels;a", "b"]
    frame = read_frame(path, TableFormat(separator=";", decimal="."))
    assert frame.cells["a,b"].tolist() == ["1,2", "3,4"]


def test_file_that_is_not_utf8_is_read_as_windows_1252_and_says_so(write: Write) -> None:
    frame = read_frame(write("labels,größe\nKäfer,1\n".encode("cp1252")), TableFormat())
    assert list(frame.cells.columns) == ["labels", "größe"]
    assert frame.cells["labels"].tolist() == ["Käfer"]
    assert frame.notes == ("read as Windows-1252, since it is not UTF-8",)
    late = ("labels,a\n" + "bee,1\n" * 20_000 + "Käfer,2\n").encode("cp1252")  # beyond the beginning that is looked at
    assert read_frame(write(late), TableFormat()).cells["labels"].iloc[-1] == "Käfer"


def test_encoding_that_does_not_fit_is_named(write: Write) -> None:
    path = write("labels,größe\nKäfer,1\n".encode("cp1252"))
    assert message_of(lambda: read_frame(path, TableFormat(encoding="utf-8"))) == (
        "t.csv is not in utf-8: byte 0xf6 has no meaning in it; name the encoding that it is in"
    )


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inner.csv", content)
        archive.writestr("__MACOSX/._inner.csv", b"\0")
    return buffer.getvalue()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: pa.compress(content, "zstd", asbytes=True),
    "zip": zipped,
}


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_compressed_file_is_read_like_the_plain_one(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.csv.{ending}"
    path.write_bytes(COMPRESSIONS[ending](GOOD.encode()))
    np.testing.assert_array_equal(read_numbers(path).x, [[1, 2], [3, 4]])
    if ending != "zst":
        path.write_bytes(path.read_bytes()[:-4] if ending == "xz" else path.read_bytes()[: len(path.read_bytes()) // 2])
        assert "cannot be uncompressed" in message_of(lambda: read_numbers(path))


def test_archive_of_two_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", GOOD)
        archive.writestr("b.csv", GOOD)
    assert message_of(lambda: read_frame(tmp_path / "t.zip", TableFormat())).endswith(
        "t.zip must hold one file, found 2; unpack it, then choose one"
    )


WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path, index=False),
    "feather": lambda frame, path: frame.to_feather(path),
    "json": lambda frame, path: frame.to_json(path, orient="records"),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "xlsx": lambda frame, path: frame.to_excel(path, index=False),
}


@pytest.mark.parametrize("ending", WRITERS)
def test_formats_give_the_same_cells_and_blocks_the_same_rows(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{ending}"
    WRITERS[ending](MIXED, path)
    cells = read_frame(path, TableFormat()).cells
    assert cells["kind"].tolist() == ["bee", "fly", "bee"]
    np.testing.assert_array_equal(cells["mass"], [1.5, np.nan, 2.5])
    assert cells["legs"].tolist() == [6, 6, 5]
    assert cells["flies"].tolist() == [True, False, True]
    blocks = FrameBlocks(path, TableFormat())
    assert blocks.names == ("kind", "mass", "legs", "flies")
    frames, tables = zip(*blocks, strict=True)
    assert [str(cell) for cell in pd.concat(frames)["kind"]] == ["bee", "fly", "bee"]
    assert [table.column_names for table in tables] == [["kind", "mass", "legs", "flies"]] * len(tables)
    assert sum(table.num_rows for table in tables) == 3


def test_typed_columns_become_plain_ones(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "labels": pd.Categorical(["a", "b", "a"]),
            "count": pd.array([1, None, 3], "Int64"),
            "is": pd.array([True, None, False], "boolean"),
            "when": pd.to_datetime(pd.Series(["2024-01-31T23:00:00Z", None, "2024-02-01T01:00:00Z"])),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    cells = read_frame(tmp_path / "t.parquet", TableFormat()).cells
    assert cells["labels"].tolist() == ["a", "b", "a"]
    np.testing.assert_array_equal(cells["count"], [1, np.nan, 3])
    assert cells["is"].tolist()[::2] == [True, False]
    assert str(cells["when"].iloc[0]) == "2024-01-31 23:00:00"


def test_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    frame = read_frame("-", TableFormat())
    assert frame.source == "standard input"
    assert frame.cells["b"].tolist() == [2, 4]
    assert frame.where(1) == "standard input, line 3"


def test_row_names_of_r_get_an_unnamed_column(write: Write) -> None:
    cells = read_frame(write('"a" "b"\n"1" 2 3\n"2" 4 5\n'.replace(" ", ",")), TableFormat()).cells
    assert list(cells.columns) == ["", "a", "b"]
    assert cells[""].tolist() == [1, 2]


def test_quoted_cells_may_hold_separators_quotes_and_newlines(write: Write) -> None:
    frame = read_frame(write('labels,a,note\n"bee, small",1,"two\nlines"\n"""fly""",2,"a,b"\n'), TableFormat())
    assert frame.cells["labels"].tolist() == ["bee, small", '"fly"']
    assert frame.cells["note"].tolist() == ["two\nlines", "a,b"]
    assert frame.where(1) == "t.csv, line 4"


def test_columns_of_text_keep_their_leading_zeros(write: Write) -> None:
    path = write("labels,zip\nx,007\ny,010\n")
    assert read_frame(path, TableFormat(), text={"zip"}).cells["zip"].tolist() == ["007", "010"]
    assert read_frame(path, TableFormat()).cells["zip"].tolist() == [7, 10]


def test_column_of_numbers_and_a_late_text_keeps_every_cell_as_it_is_written(write: Write) -> None:
    content = "labels,a\n" + "x,01\n" * 300_000 + "y,oops\n"  # pandas decides the type of a column in parts
    values = read_frame(write(content), TableFormat()).cells["a"]
    assert set(values) == {"01", "oops"}


def test_values_are_the_nearest_float32(write: Write) -> None:
    table = read_numbers(write("labels,a\nx,0.1\ny,3.4028235677973362e38\ny,-1e-46\nx,99999999999999999999\n"))
    np.testing.assert_array_equal(table.x[:, 0], np.array([0.1, 3.4028235e38, 0, 1e20], np.float32))
    assert not np.signbit(table.x[2, 0])  # -0.0 is stored as 0.0: equal rows have equal bits


def test_numbers_are_parsed_as_python_parses_them(write: Write) -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2000, 3)) * 10.0 ** generator.integers(-30, 30, (2000, 3))
    path = write("a,b,c,labels\n" + "".join(",".join(map(repr, row)) + ",k\n" for row in x.tolist()))
    np.testing.assert_array_equal(read_numbers(path).x, x.astype(np.float32))


def test_blocks_of_a_long_text_file_equal_the_whole(write: Write) -> None:
    rows = [f'"bee {number % 7}",{number},"some\nnote"\n' for number in range(500_000)]
    path = write("labels,a,note\n" + "".join(rows))
    blocks = FrameBlocks(path, TableFormat())
    frames = [frame for frame, _ in blocks]
    assert len(frames) > 1
    whole = read_frame(path, TableFormat()).cells
    read = pd.concat(frames, ignore_index=True)
    assert read["a"].astype(int).tolist() == whole["a"].tolist()
    assert read["labels"].tolist() == whole["labels"].tolist()


BAD: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "t.csv is empty; it needs a header line with the column names, and rows"),
    "blank": ("\n \n", "t.csv is empty; it needs a header line with the column names, and rows"),
    "no rows": ("labels,a\n\n", "t.csv has a header but no rows; add some"),
    "NUL": ("labels,a\nx,1\ny\0,2\n", "t.csv is no text: it holds NUL bytes; export it as CSV (UTF-8)"),
    "names": (
        "labels,a,a\nx,1,2\n",
        "t.csv, line 1: a column must have a name of its own, found 'a' as columns 2 and 3; rename one",
    ),
    "control": (
        '"a\nb",labels\n0,x\n',
        "t.csv, line 2: the name of column 1 must not hold control characters, found 'a\\nb'; take them out",
    ),
    "short": ("labels,a,b\nx,1,2\ny,3\n", "t.csv, line 3: a row must have 3 cells like the header, found 2"),
    "long": ("labels,a,b\nx,1,2\n\ny,3,4,5\n", "t.csv, line 4: a row must have 3 cells like the header, found 4"),
    "longer": ("labels,a\nx,1\ny,2,3,4\n", "t.csv, line 3: a row must have 2 cells like the header, found 4"),
    "quote": (
        'labels,a\nx,1\n"y,2\nz,3\n',
        "t.csv, line 3: the row is not valid CSV: unexpected end of data; check its quotes",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_text_file_is_refused_in_one_line(write: Write, case: str) -> None:
    content, message = BAD[case]
    path = write(content)
    assert message_of(lambda: read_frame(path, TableFormat())) == message


@pytest.mark.parametrize("case", ["short", "long", "quote"])
def test_malformed_row_is_named_by_blocks_too(write: Write, case: str) -> None:
    content, message = BAD[case]
    path = write(content)
    assert message_of(lambda: list(FrameBlocks(path, TableFormat()))) == message


@pytest.mark.parametrize("ending", ["parquet", "feather", "json", "jsonl", "xlsx"])
def test_damaged_file_of_a_typed_format_is_refused_in_one_line(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{ending}"
    path.write_bytes(b"this is not it\n")
    assert f"t.{ending} cannot be read: " in message_of(lambda: read_frame(path, TableFormat()))
    assert f"t.{ending} cannot be read: " in message_of(lambda: list(FrameBlocks(path, TableFormat())))


def test_missing_file_folder_and_device_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    formats = TableFormat()
    assert message_of(lambda: read_frame("no\n.csv", formats)) == "there is no file 'no\\n.csv'; check the path"
    assert message_of(lambda: read_frame("folder", formats)) == "'folder' is a folder; give the table file in it"
    assert message_of(lambda: read_frame("/dev/zero", formats)) == "'/dev/zero' is a device; give a table file"
    assert "cannot be read: File name too long" in message_of(lambda: read_frame("n" * 300, formats))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and cannot be read")
def test_file_that_opens_but_cannot_be_read_is_refused() -> None:
    assert message_of(lambda: read_frame("/proc/self/mem", TableFormat())).startswith(
        "'/proc/self/mem' cannot be read: "
    )


def test_ten_thousand_columns_are_read(write: Write) -> None:
    path = write("labels," + ",".join(f"c{n}" for n in range(10_000)) + "\n" + ("x" + ",1.5" * 10_000 + "\n") * 10)
    assert read_numbers(path).x.sum() == 150_000
