"""Tables written block by block, and read again."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from insects.errors import DataError
from insects.tables.frames import read_frame
from insects.tables.text_files import TableFormat
from insects.tables.writing import check_writable, table_writer

BLOCKS = [
    pa.table({"a, b": ["x", 'say "no"'], "n": [1.5, None], "whole": [1, 2]}),
    pa.table({"a, b": ["two\nlines", ""], "n": [0.25, 1e-9], "whole": [3, 4]}),
]


def written(name: str | None, blocks: list[pa.Table], separator: str = ",", decimal: str = ".") -> bytes:
    sink = io.BytesIO()
    with table_writer(sink, name, separator, decimal) as writer:
        for block in blocks:
            writer.write(block)
    return sink.getvalue()


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.parquet", "t.jsonl"])
def test_written_table_is_read_again(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(written(name, BLOCKS))
    cells = read_frame(path, TableFormat(), text={"a, b"}).cells
    assert cells["a, b"].fillna("").tolist() == ["x", 'say "no"', "two\nlines", ""]
    pd.testing.assert_series_equal(cells["n"], pd.Series([1.5, None, 0.25, 1e-9], name="n"))
    assert cells["whole"].tolist() == [1, 2, 3, 4]


def test_only_a_block_that_needs_quotes_has_them() -> None:
    plain, quoted = pa.table({"a": ["x", None], "n": [1.5, 2.0]}), pa.table({"a": ["y,z"], "n": [3.0]})
    assert written(None, [plain, quoted]) == b'a,n\nx,1.5\n,2\n"y,z",3\n'


def test_numbers_have_the_decimal_mark_of_the_file() -> None:
    assert written("t.csv", [pa.table({"a": ["1,5"], "n": [0.25]})], ";", ",") == b"a;n\n1,5;0,25\n"


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
)
def test_texts_of_every_type_are_written(kind: pa.DataType) -> None:
    assert written(None, [pa.table({"a": pa.array(["x", None]).cast(kind)})]) == b"a\nx\n\n"


def test_lists_and_times_become_text_in_csv() -> None:
    block = pa.table({"list": [[1, 2]], "when": pa.array([pd.Timestamp("2024-01-31")])})
    assert written(None, [block]).decode().splitlines()[1].startswith('"[1, 2]",')


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz"])
def test_json_lines_hold_one_object_a_row(name: str) -> None:
    content = written(name, BLOCKS)
    lines = (gzip.decompress(content) if name.endswith(".gz") else content).decode().splitlines()
    assert json.loads(lines[1]) == {"a, b": 'say "no"', "n": None, "whole": 2}


def test_parquet_keeps_the_types(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(written("t.parquet", BLOCKS))
    assert [str(field.type) for field in pq.read_schema(path)] == ["string", "double", "int64"]


@pytest.mark.parametrize("name", ["t.xlsx", "t", "t.gz", "t.parquet.gz", "t.csv.bz2"])
def test_name_that_says_no_format_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"must end in \.csv, \.tsv, \.jsonl or \.parquet, found") as caught:
        check_writable(Path(name))
    assert caught.value.parameter == "out"
