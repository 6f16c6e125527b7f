"""What a study keeps of its table: columns, reasons and notes come back; damaged files are reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insects.errors import StoreError
from insects.tables.columns import Column, Columns
from search.store.study_folder import StudyFolder
from search.store.table_manifest import TableManifest
from search.study.data import DataRequest, load_data
from tests.support.studies import a_config, begun_folder

COLUMNS = (
    Column("mass", "number"),
    Column("farbe ‹ä›", "category", ("blå", "rød", "3")),
    Column("seen", "date", date_format="%d.%m.%Y", start="2020-01-31", has_clock=True),
    Column("level-less", "category"),
)
MANIFEST = TableManifest(
    target="species",
    columns=json.loads(json.dumps(Columns(COLUMNS).as_dict())),
    dropped=[["id", "counts the rows"], ["", "the rows' names"]],
    notes=["2 rows without a label left out"],
)
HINT = "restore the file or choose another --study"


@pytest.fixture
def mixed(tmp_path: Path) -> StudyFolder:
    """A study on a table with a date, a category, a constant and gaps."""
    path = tmp_path / "mixed.csv"
    rows = [f"{'pq'[n % 2]},{2000 + n % 17}-03-05,{'abc'[n % 3]},7,{n * 37 % 101 if n % 9 else ''}" for n in range(200)]
    path.write_text("\n".join(["labels,day,kind,same,mass", *rows]))
    data = load_data(DataRequest(path), tmp_path)
    folder = StudyFolder(tmp_path / "s")
    folder.make()
    folder.begin(a_config().fingerprint(data), "mixed-mlp", data)
    return folder


def table_of(folder: StudyFolder) -> TableManifest:
    table = folder.table()
    assert table is not None
    return table


def write_manifest(folder: StudyFolder, **change: Any) -> Path:
    path = folder.path / "table.json"
    path.write_text(json.dumps({**vars(MANIFEST), **change}))
    return path


def test_manifest_is_read_as_it_was_written(mixed: StudyFolder) -> None:
    write_manifest(mixed)
    table = table_of(mixed)
    assert table == MANIFEST
    assert table.model_columns == Columns(COLUMNS)


def test_study_on_a_table_keeps_kinds_reasons_and_notes(mixed: StudyFolder) -> None:
    table, data = table_of(mixed), mixed.data()
    assert table.target == "labels"
    assert [(column.name, column.kind) for column in table.model_columns.columns] == [
        ("day", "date"),
        ("kind", "category"),
        ("mass", "number"),
    ]
    assert table.dropped == [["same", "always 7"]]
    assert [note.partition(":")[0] for note in table.notes] == ["1 column not used", "gaps in training rows, filled"]
    assert mixed.images() is None
    # Rows, encoder and columns are of one piece.
    assert data.sample.encoder.columns == table.model_columns.coded
    assert data.test.features == tuple(column.name for column in table.model_columns.coded)
    np.testing.assert_array_equal(data.sample.encoder.transform(data.train_raw), data.sample.train_x)
    assert np.isnan(data.train_raw[:, -1]).any()


def test_study_on_the_built_in_table_has_a_manifest_too(tmp_path: Path) -> None:
    table = table_of(begun_folder(tmp_path, a_config()))
    assert table == TableManifest("labels", Columns.of_numbers(("feature1", "feature2")).as_dict(), [], [])


DAMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "target": ({"target": None}, "its content.target is not what was written"),
    "columns": ({"columns": {}}, "its content.columns is not what was written"),
    "column": ({"columns": [{"name": "a", "kind": "number"}, "b"]}, "its content.columns[1] is not what was written"),
    "dropped": ({"dropped": [["a"]]}, "its content.dropped[0] is not what was written"),
    "notes": ({"notes": [1]}, "its content.notes[0] is not what was written"),
    "unknown part": ({"more": 1}, "unexpected keyword argument 'more'"),
    "unknown kind": ({"columns": [{"name": "a", "kind": "colour"}]}, "a column is of no known kind"),
    "no kind": ({"columns": [{"name": "a"}]}, "missing 1 required positional argument: 'kind'"),
    "unknown part of a column": (
        {"columns": [{"name": "a", "kind": "number", "unit": "g"}]},
        "unexpected keyword argument 'unit'",
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_manifest_is_an_error_that_names_file_and_part(kind: str, mixed: StudyFolder) -> None:
    change, part = DAMAGES[kind]
    path = write_manifest(mixed, **change)
    with pytest.raises(StoreError) as error:
        mixed.table()
    assert str(error.value).startswith(f"cannot read {path}: ")
    assert str(error.value).endswith(f"{part}; {HINT}")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", None])
def test_manifest_that_is_no_json_or_absent_is_an_error_that_names_the_file(
    content: str | None, mixed: StudyFolder
) -> None:
    path = mixed.path / "table.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(StoreError) as error:
        mixed.table()
    assert str(error.value).startswith(f"cannot read {path}: ")
    assert str(error.value).endswith(HINT)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"no array", None])
def test_keys_that_cannot_be_read_are_an_error_that_names_the_file(content: bytes | None, mixed: StudyFolder) -> None:
    path = mixed.path / "seen.npy"
    assert len(mixed.seen()) == len(np.unique(mixed.seen())) > 0
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(StoreError) as error:
        mixed.seen()
    assert str(error.value).startswith(f"cannot read {path}: ")
    assert str(error.value).endswith(HINT)


def test_keys_of_another_type_are_an_error(mixed: StudyFolder) -> None:
    np.save(mixed.path / "seen.npy", np.array([1.5]))
    with pytest.raises(StoreError, match=r"cannot read .*seen\.npy: it does not hold uint64; restore"):
        mixed.seen()
