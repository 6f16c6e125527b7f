"""Annotations: rows found by column name, the error of a bad table, no file outside the image folder."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from insects.errors import DataError
from insects.images.annotations import read_annotations
from insects.images.files import content

HEADER = "sample,species,filename\n"


def write(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "insects.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_columns_are_found_by_name_and_rows_keep_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "note,filename,kind,animal\nx,./b.jpg,bee,2\n\n,sub//a.jpg,ant,1\n")
    annotations = read_annotations(path, tmp_path, target="kind", group="animal")
    assert annotations.files == ("b.jpg", "sub/a.jpg")
    assert annotations.lines == (2, 4)
    assert annotations.classes == ("ant", "bee")
    assert annotations.y.tolist() == [1, 0]
    assert annotations.groups == ("2", "1")


def test_whole_number_labels_are_ordered_as_numbers(tmp_path: Path) -> None:
    annotations = read_annotations(write(tmp_path, HEADER + "1,10,a\n2,9,b\n3,09,c\n"), tmp_path)
    assert annotations.classes == ("9", "10")
    assert annotations.y.tolist() == [1, 0, 0]
    assert annotations.groups is None


def test_labels_can_be_limited_to_the_classes_of_a_model(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "1,bee,a\n2,ant,b\n")
    assert read_annotations(path, tmp_path, classes=("wasp", "bee", "ant")).y.tolist() == [1, 2]
    with pytest.raises(DataError, match=r"line 2, column 'species': a label must be one of the classes trained on"):
        read_annotations(path, tmp_path, classes=("ant",))


def test_classes_without_a_kept_row_are_left_out(tmp_path: Path) -> None:
    annotations = read_annotations(write(tmp_path, HEADER + "1,ant,a\n2,bee,b\n3,wasp,c\n"), tmp_path, group="sample")
    kept = annotations.only([True, False, True])
    assert (kept.files, kept.lines, kept.classes, kept.y.tolist(), kept.groups) == (
        ("a", "c"),
        (2, 4),
        ("ant", "wasp"),
        [0, 1],
        ("1", "3"),
    )


BAD_TABLES = {
    "no file name column": (
        "sample,species,file\n1,ant,a\n",
        "has no file name column 'filename', its columns are 'sample', 'species', 'file'; did you mean 'file'?",
        "filename",
    ),
    "no label column": (
        "sample,kind,filename\n1,ant,a\n",
        "has no label column 'species', its columns are 'sample', 'kind', 'filename'; choose one of them",
        "target",
    ),
    "no group column": (
        "specimen,species,filename\n1,ant,a\n",
        "has no group column 'sample', its columns are 'specimen', 'species', 'filename'; choose one of them",
        "group",
    ),
    "no rows": (HEADER, "has a header but no rows; add some", None),
    "empty file": ("", "is empty; it needs a header line", None),
    "empty file name": (HEADER + "1,ant, \n", "line 2, column 'filename': the file name must not be empty", None),
    "absolute name": (HEADER + "1,ant,/etc/passwd\n", "line 2, column 'filename': the file name must be inside", None),
    "absolute Windows name": (HEADER + "1,ant,C:\\a.jpg\n", "found the absolute 'C:\\\\a.jpg'", None),
    "way up": (HEADER + "1,ant,sub/../../a.jpg\n", "found 'sub/../../a.jpg' with '..'", None),
    "way up with backslashes": (HEADER + "1,ant,sub\\..\\a.jpg\n", "with '..'; write it without", None),
    "NUL": (HEADER + "1,ant,a\0.jpg\n", "is no text: it holds NUL bytes; export it as CSV (UTF-8)", None),
    "same image twice": (
        HEADER + "1,ant,a\n1,ant,./a\n",
        "line 3: image 'a' must occur once, but is on line 2 too",
        None,
    ),
    "specimen of two species": (
        HEADER + "1,ant,a\n1,bee,b\n",
        "group '1' is 'bee' here and 'ant' on line 2; correct one, or choose another group column",
        "group",
    ),
    "empty label": (HEADER + "1,,a\n", "line 2, column 'species': the label must not be empty", None),
    "empty group": (HEADER + ",ant,a\n", "line 2, column 'sample': the group must not be empty", None),
    "missing cell": (HEADER + "1,ant\n", "line 2: a row must have 3 cells like the header, found 2", None),
    "open quote": (HEADER + '1,ant,"a\n', "line 2: the row is not valid CSV", None),
    "labels all different": (
        HEADER + "".join(f"{n},name {n},{n}.jpg\n" for n in range(30)),
        "column 'species' has 30 different values in 30 rows; choose another label column",
        "target",
    ),
}


@pytest.mark.parametrize(("text", "message", "parameter"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_bad_table_is_refused_in_one_line(
    text: str | bytes, message: str, parameter: str | None, tmp_path: Path
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(DataError) as error:
        read_annotations(path, tmp_path, group="sample")
    assert message in str(error.value)
    assert str(error.value).startswith(str(path))
    assert str(error.value).isprintable()
    assert error.value.parameter == parameter


def test_annotations_may_have_any_separator_and_encoding(tmp_path: Path) -> None:
    text = HEADER.replace(",", ";") + "1;Ameise ä;a.jpg\n"
    for encoding in ("utf-8", "utf-8-sig", "cp1252", "utf-16"):
        annotations = read_annotations(write(tmp_path, text.encode(encoding)), tmp_path, group="sample")
        assert (annotations.files, annotations.classes, annotations.lines) == (("a.jpg",), ("Ameise ä",), (2,))
    late = HEADER + "".join(f"{n},ant,{n:060}.jpg\n" for n in range(2000)) + "7,Ameise ä,z.jpg\n"
    assert read_annotations(write(tmp_path, late.encode("cp1252")), tmp_path).classes == ("Ameise ä", "ant")


def test_missing_csv_and_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_annotations(tmp_path / "none.csv", tmp_path)
    with pytest.raises(DataError, match=r"there is no image folder .*none'; choose another") as error:
        read_annotations(write(tmp_path, HEADER), tmp_path / "none")
    assert error.value.parameter == "image_dir"


def test_folder_whose_path_is_not_utf8_is_refused(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/images\xff/in"))
    folder.mkdir(parents=True)
    with pytest.raises(DataError, match=r"image folder must be UTF-8, .*images\\udcff/in'; rename it") as error:
        read_annotations(write(tmp_path, HEADER), folder)
    assert str(error.value).isprintable()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@example(name="two\nlines")
@example(name="re\rturn")
@example(name="nul\0")
@example(name="..")
@example(name="../secret")
@example(name="/etc/hostname")
@example(name="link/secret")
@example(name="a" * 300)
@example(name="inside/../../secret")
@given(name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_any_file_name_is_read_from_inside_the_folder_or_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "images"
    (folder / "inside").mkdir(parents=True, exist_ok=True)
    (tmp_path / "secret").write_bytes(b"secret")
    if not (folder / "link").is_symlink():
        (folder / "link").symlink_to(tmp_path)
    (folder / "inside" / "a.jpg").write_bytes(b"inside")
    path = tmp_path / "names.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("filename", "species"), (name, "ant")])
    try:
        annotations = read_annotations(path, folder)
        found = content(folder, annotations.files[0])
    except (DataError, ValueError) as error:
        message, found = str(error), b"inside"
    else:
        message = ""
    assert found == b"inside"
    assert "\n" not in message


@given(
    st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20),
    st.sampled_from(["{}", "sub/{}", "a b {}", "two\nlines {}", "re\rturn {}", 'quote"s, {}', "\x1b[31m{}", "{}%?#"]),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_file_with_any_valid_name_is_found(tmp_path: Path, name: str, pattern: str) -> None:
    folder = tmp_path / "images"
    file = folder / pattern.format(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(name.encode())
    path = tmp_path / "names.csv"
    with open(path, "w", newline="", encoding="utf-8") as table:
        csv.writer(table).writerows([("filename", "species"), (pattern.format(name), "ant")])
    assert content(folder, read_annotations(path, folder).files[0]) == name.encode()
