"""Text files: how they are read is found by looking, whatever their compression, and what they break is named."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from insects.tables.compressed import open_bytes
from insects.tables.text_files import TableFormat, TextFile, check_widths, look_at
from tests.support.csv_cases import GOOD, Write, error_of, message_of

UNKNOWN = TableFormat()


def found(path: Path, known: TableFormat = UNKNOWN) -> TextFile:
    return look_at(str(path), known)


def rows_of(file: TextFile) -> str:
    with file.open_rows() as rows:
        return rows.read().decode()


@pytest.mark.parametrize(
    ("content", "separator", "decimal"),
    [
        (GOOD, ",", "."),
        ("labels;a\nx;1,5\ny;2\n", ";", ","),
        ("labels;a\nx;1.5\ny;2\n", ";", "."),
        ("labels\ta\nx\t-0,25\n", "\t", ","),
        ("labels|a\nx|1\n", "|", "."),
        ("labels;a\nx;1,5\ny;2.5\n", ";", "."),  # a comma alone decides nothing beside a point
        ("labels;note\nx;a, b, c\ny;d\nz;e, f\n", ";", "."),
        ('labels,note\nx,"a; b"\ny,"c; d"\n', ",", "."),
        ("labels\nx\ny\n", ",", "."),
        ("labels,a\n", ",", "."),
    ],
)
def test_separator_and_decimal_mark_are_found(write: Write, content: str, separator: str, decimal: str) -> None:
    file = found(write(content))
    assert (file.separator, file.decimal) == (separator, decimal)


@pytest.mark.parametrize(
    ("encode", "encoding"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("cp1252", "cp1252"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encoding_is_found_and_rows_come_in_utf8(write: Write, encode: str, encoding: str, end: str) -> None:
    text = f"{end}labels,größe{end}Käfer,1{end}".encode(encode)
    file = found(write(text))
    assert file.encoding == encoding
    assert file.header == ("labels", "größe")
    assert file.header_lines == 2
    assert rows_of(file) == ("Käfer,1\n" if end == "\r" else f"Käfer,1{end}")


def test_character_that_the_look_at_the_beginning_cuts_in_two_is_still_utf8(write: Write) -> None:
    for shift in range(3):  # of a character of three bytes
        file = found(write("labels,a\n" + "x" * shift + "虫,1\n" * 20_000))
        assert file.encoding == "utf-8"


def test_what_is_known_of_the_format_is_not_looked_for(write: Write) -> None:
    file = found(write("labels,a\nx,1\n"), TableFormat(separator=";", decimal=",", encoding="latin-1"))
    assert (file.separator, file.decimal, file.encoding) == (";", ",", "latin-1")
    assert file.header == ("labels,a",)
    assert found(write("\ufefflabels,a\nx,1\n"), TableFormat(encoding="cp1252")).header == ("labels", "a")


def test_plain_file_is_one_that_pandas_may_open(write: Write, tmp_path: Path) -> None:
    assert found(write(GOOD)).is_plain
    assert found(write("\ufeff" + GOOD)).is_plain
    assert not found(write(GOOD.encode("utf-16"))).is_plain
    assert not found(write("\n" + GOOD)).is_plain  # pandas is told to skip one line
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(GOOD.encode()))
    assert not found(tmp_path / "t.csv.gz").is_plain


def test_header_wider_than_the_beginning_is_read_whole(write: Write) -> None:
    names = [f"expression of gene {number}" for number in range(20_000)]
    file = found(write(";".join(names) + "\n" + ";".join(["1,5"] * 20_000) + "\n"))
    assert file.header == tuple(names)
    assert (file.separator, file.decimal) == (";", ",")
    assert rows_of(file).count(";") == 19_999


def test_row_names_without_a_header_get_an_unnamed_column(write: Write) -> None:
    assert found(write("a\tb\nr1\t2\t3\nr2\t4\t5\n")).header == ("", "a", "b")
    assert found(write("a,b\n1,2,\n3,4,\n")).header == ("a", "b")  # commas at the ends are no row names
    assert found(write("a,b\n1,2,3\n4,5\n")).header == ("a", "b")


def test_line_of_a_row_counts_blank_lines_and_line_breaks_in_cells(write: Write) -> None:
    file = found(write('\nlabels,note\nx,"two\nlines"\n\n  \ny,plain\nz,end'))
    assert [file.line_of(row) for row in range(3)] == [3, 7, 8]


def test_line_below_a_very_long_cell_is_found(write: Write) -> None:
    content = f"labels,note\nx,{'n' * 200_000}\ny,1\n"
    file = found(write(content))
    assert file.line_of(1) == 3
    check_widths(file)
    short = found(write(content + "z\n"))
    assert message_of(lambda: check_widths(short)) == "t.csv, line 4: a row must have 2 cells like the header, found 1"


def test_standard_input_is_read_once_and_opened_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD.encode())))
    file = look_at("-", UNKNOWN)
    assert (file.source, file.header) == ("standard input", ("labels", "a", "b"))
    assert rows_of(file) == rows_of(file) == "bee,1,2\nfly,3,4\n"
    assert not file.is_plain


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir("folder")
        archive.writestr("folder/inner.csv", content)
        archive.writestr("__MACOSX/._inner.csv", b"\0")
    return buffer.getvalue()


COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: pa.compress(content, "zstd", asbytes=True),
    "zip": zipped,
}


@pytest.mark.parametrize("ending", [*COMPRESSIONS, "GZ"])
def test_compressed_file_has_the_bytes_of_the_plain_one(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.csv.{ending}"
    path.write_bytes(COMPRESSIONS[ending.lower()](GOOD.encode()))
    with open_bytes(str(path)) as file:
        assert file.read() == GOOD.encode()
    assert rows_of(found(path)) == "bee,1,2\nfly,3,4\n"


@pytest.mark.parametrize("ending", COMPRESSIONS)
def test_damaged_compression_is_told_in_one_line(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.csv.{ending}"
    whole = COMPRESSIONS[ending](GOOD.encode())
    for damaged in (b"this is not it", whole[:-4] if ending == "xz" else whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        assert "t.csv." + ending in message_of(lambda: rows_of(found(path)))


def locked() -> bytes:
    """An archive whose file is marked as encrypted."""
    content = bytearray(zipped(GOOD.encode()))
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + place] |= 1
            at = content.find(signature, at + 1)
    return bytes(content)


def archive_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, GOOD)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive_of("a.csv", "b.csv"), "must hold one file, found 2; unpack it, then choose one"),
        (archive_of(), "must hold one file, found 0; unpack it, then choose one"),
        (locked(), "is encrypted, password required for extraction; unpack it, then choose the file"),
    ],
    ids=["two files", "no file", "password"],
)
def test_archive_without_one_readable_file_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "t.zip"
    path.write_bytes(content)
    assert message_of(lambda: found(path)).endswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "t.csv is empty; it needs a header line with the column names, and rows"),
        ("\n \n", "t.csv is empty; it needs a header line with the column names, and rows"),
        ("labels,a\nx\0,1\n", "t.csv is no text: it holds NUL bytes; export it as CSV (UTF-8)"),
        (
            "labels,a,b,a\nx,1,2,3\n",
            "t.csv, line 1: a column must have a name of its own, found 'a' as columns 2 and 4; rename one",
        ),
        (
            "\nlabels,,\nx,1,2\n",
            "t.csv, line 2: a column must have a name of its own, found none in columns 2 and 3; rename one",
        ),
        (
            '"a\nb",labels\n0,x\n',
            "t.csv, line 2: the name of column 1 must not hold control characters, found 'a\\nb'; take them out",
        ),
        (
            'labels,"a"b\nx,1\n',
            "t.csv, line 1: the header is not valid CSV: ',' expected after '\"'; separate names by commas and check "
            "their quotes",
        ),
    ],
)
def test_file_without_a_valid_header_is_refused(write: Write, content: str, message: str) -> None:
    path = write(content)
    assert message_of(lambda: found(path)) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("labels,a,b\nx,1,2\ny,3\n", "t.csv, line 3: a row must have 3 cells like the header, found 2"),
        ("labels,a,b\nx,1,2\n\ny,3,4,5\n", "t.csv, line 4: a row must have 3 cells like the header, found 4"),
        (
            'labels,a\nx,1\n"y,2\nz,3\n',
            "t.csv, line 3: the row is not valid CSV: unexpected end of data; check its quotes",
        ),
        (
            'labels\ta\nx\t1\ny\t"2"3\n',
            "t.csv, line 3: the row is not valid CSV: '\\t' expected after '\"'; check its quotes",
        ),
        (
            'labels,a\nx,1\ny,"2"3\n',
            "t.csv, line 3: the row is not valid CSV: ',' expected after '\"'; check its quotes",
        ),
    ],
)
def test_row_that_does_not_fit_the_header_is_named(write: Write, content: str, message: str) -> None:
    file = found(write(content))
    assert message_of(lambda: check_widths(file)) == message


def test_encoding_that_does_not_fit_is_named(write: Write) -> None:
    path = write("labels,größe\nx,1\n".encode("cp1252"))
    error = error_of(lambda: found(path, TableFormat(encoding="utf-8")))
    assert str(error) == "t.csv is not in utf-8: byte 0xf6 has no meaning in it; name the encoding that it is in"
    assert error.parameter == "encoding"


def test_missing_file_folder_and_device_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    assert message_of(lambda: found(Path("no\n.csv"))) == "there is no file 'no\\n.csv'; check the path"
    assert message_of(lambda: found(Path("folder"))) == "'folder' is a folder; give the table file in it"
    assert message_of(lambda: found(Path("/dev/zero"))) == "'/dev/zero' is a device; give a table file"
    assert "cannot be read: File name too long" in message_of(lambda: found(Path("n" * 300)))


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that opens and cannot be read")
def test_file_that_opens_but_cannot_be_read_is_refused() -> None:
    assert message_of(lambda: found(Path("/proc/self/mem"))).startswith("'/proc/self/mem' cannot be read: ")


def test_file_without_read_permission_is_refused(write: Write) -> None:
    path = write(GOOD)
    path.chmod(0)
    try:
        path.read_bytes()
    except PermissionError:
        assert message_of(lambda: found(path)) == (
            "'t.csv' cannot be read: Permission denied; check the file and its permissions"
        )
    else:
        pytest.skip("this user may read every file")
