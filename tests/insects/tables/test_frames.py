"""Reading tables of every format: the cells of good files, the error of bad ones, blocks equal to the whole."""

from __future__ import annotations

import gzip
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from insects.tables.cells import MISSING_LABELS, texts
from insects.tables.columns import find_columns
from insects.tables.frames import FrameBlocks, read_frame
from insects.tables.text_files import TableFormat
from tests.support.csv_cases import GOOD, Write, message_of
from tests.support.tables import read_numbers

MIXED = pd.DataFrame(
    {"kind": ["bee", "fly", "bee"], "mass": [1.5, np.nan, 2.5], "legs": [6, 6, 5], "flies": [True, False, True]}
)


DIALECTS: dict[str, str | bytes] = {
    "plain": GOOD,
    "CRLF": GOOD.replace("\n", "\r\n"),
    "CR": GOOD.replace("\n", "\r"),
    "BOM": "\ufeff" + GOOD,
    "no last newline": GOOD.rstrip("\n"),
    "blank end": GOOD + "\n\n",
    "blank lines": "\n" + GOOD.replace("\nfly", "\n\n  \nfly"),
    "quotes": '"labels","a","b"\n"bee","1","2"\n"fly","3","4"\n',
    "some quotes": 'labels,a,b\n"bee",1,2\nfly,"3",4\n',
    "blanks": " labels , a,b \n bee , 1 ,\t2\nfly,+3.,.4e1\n",
    "semicolons": GOOD.replace(",", ";"),
    "tabs": GOOD.replace(",", "\t"),
    "bars": GOOD.replace(",", "|"),
    "UTF-16": GOOD.encode("utf-16"),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_dialect_of_a_text_file_does_not_change_the_table(write: Write, dialect: str) -> None:
    table = read_numbers(write(DIALECTS[dialect]))
    assert (table.features, table.classes, table.source) == (("a", "b"), ("bee", "fly"), "t.csv")
    np.testing.assert_array_equal(table.x, [[1, 2], [3, 4]])
    assert table.y.tolist() == [0, 1]
    assert table.x.dtype == np.float32
    assert table.x.flags.c_contiguous


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_empty_first_cells_do_not_shift_their_rows(write: Write, end: str) -> None:
    path = write(f"a,labels,b{end},bee,1{end}2,fly,3{end}{end},bee,{end}")
    frame = read_frame(path, TableFormat())
    np.testing.assert_array_equal(frame.cells["a"], [np.nan, 2, np.nan])
    np.testing.assert_array_equal(frame.cells["b"], [1, 3, np.nan])
    assert frame.where(2) == "t.csv, line 5"
    (read,) = [block for block, _ in FrameBlocks(path, TableFormat())]
    assert read.to_numpy().tolist() == [["", "bee", "1"], ["2", "fly", "3"], ["", "bee", ""]]


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


WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "parquet": lambda frame, path: frame.to_parquet(path, index=False),
    "feather": lambda frame, path: frame.to_feather(path),
    "json": lambda frame, path: frame.to_json(path, orient="records"),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "xlsx": lambda frame, path: frame.to_excel(path, index=False),
}


def assert_blocks_equal_the_whole(path: Path) -> None:
    """Blocks are coded as the whole table is, by columns found on the whole, and have the same texts."""
    whole = read_frame(path, TableFormat())
    columns = find_columns(whole.cells, whole.source, decimal=whole.decimal).columns
    blocks = FrameBlocks(path, TableFormat())
    assert blocks.names == tuple(whole.cells.columns)
    frames, tables = zip(*blocks, strict=True)
    assert all(table.column_names == list(blocks.names) for table in tables)
    assert [table.num_rows for table in tables] == [len(frame) for frame in frames]
    coded = [columns.code(frame, blocks.source, blocks.decimal) for frame in frames]
    np.testing.assert_array_equal(np.concatenate(coded), columns.code(whole.cells, whole.source, whole.decimal))
    read = pd.concat(frames, ignore_index=True)
    for name in whole.cells.columns[whole.cells.dtypes.map(pd.api.types.is_string_dtype)]:
        assert texts(read[name]).texts == texts(whole.cells[name]).texts


@pytest.mark.parametrize("ending", WRITERS)
def test_formats_give_the_same_cells_and_blocks_the_same_rows(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{ending}"
    WRITERS[ending](MIXED, path)
    cells = read_frame(path, TableFormat()).cells
    assert cells["kind"].tolist() == ["bee", "fly", "bee"]
    np.testing.assert_array_equal(cells["mass"], [1.5, np.nan, 2.5])
    assert cells["legs"].tolist() == [6, 6, 5]
    assert cells["flies"].tolist() == [True, False, True]
    assert_blocks_equal_the_whole(path)
    _, table = next(iter(FrameBlocks(path, TableFormat())))
    assert list(map(str, table["kind"].to_pylist())) == ["bee", "fly", "bee"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_blocks_of_every_dialect_equal_the_whole(write: Write, dialect: str) -> None:
    assert_blocks_equal_the_whole(write(DIALECTS[dialect]))


def test_blocks_of_a_compressed_file_equal_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress("labels;größe\nKäfer;1,5\nBiene;2\n".encode("cp1252")))
    assert_blocks_equal_the_whole(path)


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_long_table_of_a_typed_format_comes_in_blocks(ending: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(120_000) / 3, "b": np.arange(120_000) % 7 == 0})
    path = tmp_path / f"t.{ending}"
    WRITERS[ending](frame, path)
    assert [len(block) for block, _ in FrameBlocks(path, TableFormat())] == [50_000, 50_000, 20_000]
    assert_blocks_equal_the_whole(path)


def test_label_none_is_a_class_in_every_format(tmp_path: Path) -> None:
    frame = pd.DataFrame({"labels": ["None", "x", None], "a": [1, 2, 3]})
    for ending, write_frame in WRITERS.items():
        path = tmp_path / f"t.{ending}"
        write_frame(frame, path)
        labels = read_frame(path, TableFormat(), labels="labels").cells["labels"]
        assert texts(labels, MISSING_LABELS).texts == ("None", "x"), ending
        assert texts(labels, MISSING_LABELS).known == 2


def test_records_that_are_no_table_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    for content in ("3", '{"a": 1}'):
        path.write_text(content)
        assert "t.json cannot be read: " in message_of(lambda: read_frame(path, TableFormat()))
    path.write_text("[]")
    assert message_of(lambda: read_frame(path, TableFormat())).endswith("t.json has a header but no rows; add some")


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
    "no rows": ("labels,a\n\n", "t.csv has a header but no rows; add some"),
    "short": ("labels,a,b\nx,1,2\ny,3\n", "t.csv, line 3: a row must have 3 cells like the header, found 2"),
    "long": ("labels,a,b\nx,1,2\n\ny,3,4,5\n", "t.csv, line 4: a row must have 3 cells like the header, found 4"),
    "longer": ("labels,a\nx,1\ny,2,3,4\n", "t.csv, line 3: a row must have 2 cells like the header, found 4"),
    "quotes alone": ('labels,a\nx,1\n""\ny,2\n', "t.csv, line 3: a row must have 2 cells like the header, found 1"),
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


@pytest.mark.parametrize("case", ["short", "long", "quotes alone", "quote"])
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


def test_ten_thousand_columns_are_read(write: Write) -> None:
    path = write("labels," + ",".join(f"c{n}" for n in range(10_000)) + "\n" + ("x" + ",1.5" * 10_000 + "\n") * 10)
    assert read_numbers(path).x.sum() == 150_000
