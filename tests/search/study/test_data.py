"""The data of a search: what a study keeps of it, and what makes it another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from insects.splits import row_keys
from search.store.study_folder import StudyFolder
from search.store.table_manifest import TableManifest
from search.study.config import default_name
from search.study.data import DataRequest, load_data
from tests.support.real_tables import penguins
from tests.support.studies import a_config


@pytest.fixture
def request_of(tmp_path: Path) -> DataRequest:
    path = tmp_path / "My penguins (2020).csv"
    penguins().to_csv(path, index=False)
    return DataRequest(path, "species")


def test_models_of_the_same_rows_are_compared_whatever_their_scaling(request_of: DataRequest, tmp_path: Path) -> None:
    standard, robust, fewer, other = (
        load_data(request, tmp_path)
        for request in (
            request_of,
            replace(request_of, scaling="robust"),
            replace(request_of, drop=("year",)),
            replace(request_of, split_seed=1),
        )
    )
    assert standard.rows == robust.rows
    assert len({standard.rows, fewer.rows, other.rows}) == 3
    fingerprints = [a_config().fingerprint(data) for data in (standard, robust, fewer, other)]
    assert len({default_name("penguins", fingerprint) for fingerprint in fingerprints}) == 4
    assert [fingerprint["data"]["scaling"] for fingerprint in fingerprints[:2]] == ["standard", "robust"]


def test_study_keeps_columns_notes_and_keys_of_its_rows(request_of: DataRequest, tmp_path: Path) -> None:
    data = load_data(request_of, tmp_path)
    folder = StudyFolder(tmp_path / "s")
    folder.make()
    folder.begin(a_config().fingerprint(data), "penguins-mlp", data)
    table = folder.table()
    assert table is not None
    assert isinstance(data.manifest, TableManifest)
    assert (table.model_columns, table.notes) == (data.manifest.model_columns, data.manifest.notes)
    assert table.target == "species"
    assert {column.name: column.kind for column in table.model_columns.columns}["island"] == "category"
    assert any(note.startswith("gaps in training rows, filled: ") for note in table.notes)
    assert not np.isin(row_keys(data.test.x), folder.seen()).any()
    assert np.isin(row_keys(data.train_raw), folder.seen()).all()


def test_rows_of_few_categories_are_not_recognized(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("labels,a\n" + "".join(f"{'yn'[n % 7 % 2]},{'pqr'[n % 3]}\n" for n in range(300)))
    assert len(load_data(DataRequest(path), tmp_path).seen) == 0


def test_name_of_the_file_is_the_stem_of_study_and_model(request_of: DataRequest) -> None:
    assert request_of.stem == "My-penguins-2020"
    assert DataRequest(None).stem == "insects"


def test_builtin_table_has_columns_of_numbers(tmp_path: Path) -> None:
    manifest = load_data(DataRequest(None), tmp_path).manifest
    assert isinstance(manifest, TableManifest)
    assert (manifest.target, manifest.dropped, manifest.notes) == ("labels", [], [])
    assert [column.kind for column in manifest.model_columns.columns] == ["number", "number"]
