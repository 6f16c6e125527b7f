"""The data of a search: what a study keeps of it, and what makes it another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from insects.errors import DataError
from insects.row_hashes import row_keys
from insects.tables.text_files import TableFormat
from search.store.study_folder import StoredData, StudyFolder
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


def kinds(data: StoredData) -> dict[str, str]:
    assert isinstance(data.manifest, TableManifest)
    return {column.name: column.kind for column in data.manifest.model_columns.columns}


def all_rows(data: StoredData) -> list[np.ndarray]:
    """The coded rows of training, validation and test."""
    assert len(data.train_raw) == len(data.splits.train_y)
    return [data.train_raw, data.valid_raw, data.test.x]


def test_kinds_are_found_and_the_users_choice_overrules_them(request_of: DataRequest, tmp_path: Path) -> None:
    found = kinds(load_data(request_of, tmp_path))
    assert found == {
        "island": "category",
        "bill_length_mm": "number",
        "bill_depth_mm": "number",
        "flipper_length_mm": "number",
        "body_mass_g": "number",
        "sex": "category",
        "year": "number",
    }
    asked = load_data(replace(request_of, categorical=("year",), drop=("sex", "body_mass_g")), tmp_path)
    assert kinds(asked) == {
        name: "category" if name == "year" else kind
        for name, kind in found.items()
        if name not in ("sex", "body_mass_g")
    }
    assert asked.splits.encoder.input_names[-3:] == ("year=2007", "year=2008", "year=2009")


def test_text_that_is_asked_for_as_numbers_is_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    cells = ["n/k", "high", "low"]
    path.write_text(
        "labels,a,b\n" + "".join(f"{'pq'[n % 2]},{n if n % 5 else cells[n % 3]},{n % 7}\n" for n in range(90))
    )
    assert kinds(load_data(DataRequest(path), tmp_path)) == {"a": "category", "b": "number"}
    numeric = load_data(DataRequest(path, numeric=("a",)), tmp_path)
    assert kinds(numeric) == {"a": "number", "b": "number"}
    assert sum(np.isnan(rows[:, 0]).sum() for rows in all_rows(numeric)) == 18
    pd.read_csv(path).assign(word=["one", "two", "one"] * 30).to_csv(path, index=False)
    none = load_data(DataRequest(path, numeric=("word",)), tmp_path)
    assert isinstance(none.manifest, TableManifest)
    assert none.manifest.dropped == [["word", "no cell is a number"]]


def test_columns_that_are_not_used_are_kept_with_their_reasons(request_of: DataRequest, tmp_path: Path) -> None:
    assert isinstance(request_of.train, Path)
    frame = penguins().assign(place="Palmer", key=[f"p-{row:03}" for row in range(344)], count=range(344))
    frame.to_csv(request_of.train, index=False)
    data = load_data(request_of, tmp_path)
    assert isinstance(data.manifest, TableManifest)
    assert sorted(data.manifest.dropped) == [
        ["count", "counts the rows"],
        ["key", "an id: 344 different texts in 344 rows"],
        ["place", "always 'Palmer'"],
    ]
    assert not {"count", "key", "place"} & kinds(data).keys()


def test_each_choice_about_columns_and_rows_makes_another_study(request_of: DataRequest, tmp_path: Path) -> None:
    assert isinstance(request_of.train, Path)
    penguins().assign(nest=[f"n{row // 3}" for row in range(344)]).to_csv(request_of.train, index=False)
    choices: list[dict[str, Any]] = [
        {},
        {"categorical": ("year",)},
        {"features": ("year", "sex", "body_mass_g")},
        {"drop": ("nest", "sex")},
        {"drop": ("nest",)},
        {"group": "nest"},
        {"scaling": "quantile"},
        {"scaling": "robust"},
        {"scaling": "ple"},
        {"test_fraction": 0.2},
        {"split_seed": 1},
    ]
    names = {
        default_name("penguins", a_config().fingerprint(load_data(replace(request_of, **choice), tmp_path)))
        for choice in choices
    }
    assert len(names) == len(choices)
    # How the file is read and where it lies make none.
    same = replace(request_of, table_format=TableFormat(separator=",", encoding="utf-8"))
    one, other = (a_config().fingerprint(load_data(request, tmp_path)) for request in (request_of, same))
    assert one == other


@pytest.mark.parametrize("scaling", ["quantile", "robust", "ple"])
def test_scaling_changes_what_the_network_sees_and_no_split(scaling: str, tmp_path: Path) -> None:
    standard, scaled = load_data(DataRequest(None), tmp_path), load_data(DataRequest(None, scaling=scaling), tmp_path)
    for one, other in zip(all_rows(standard), all_rows(scaled), strict=True):
        np.testing.assert_array_equal(one, other)
    assert scaled.splits.encoder.scaling is not None
    assert scaled.splits.encoder.scaling.name == scaling
    np.testing.assert_array_equal(scaled.splits.encoder.transform(scaled.valid_raw), scaled.splits.valid_x)
    assert standard.splits.digest != scaled.splits.digest
    assert standard.splits.encoder.scaling is None


def test_rows_of_a_group_are_in_one_part_and_the_group_is_no_input(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("labels,a,who\n" + "".join(f"{'pq'[n % 2]},{n / 4},w{n // 7}\n" for n in range(700)))
    whole, alone = (
        load_data(DataRequest(path, group=group, drop=("who",) * (not group)), tmp_path) for group in ("who", None)
    )
    assert kinds(whole) == kinds(alone) == {"a": "number"}

    def groups(data: StoredData) -> list[set[int]]:
        return [set((4 * rows[:, 0]).astype(int) // 7) for rows in all_rows(data)]

    assert sum(map(len, groups(whole))) == len(set.union(*groups(whole))) == 100
    assert sum(map(len, groups(alone))) > 100
    assert [len(rows) for rows in all_rows(whole)] == pytest.approx([504, 126, 70], abs=14)


RARE = "labels,a\n" + "".join(f"{'pq'[n % 2]},{n / 7}\n" for n in range(80)) + "rare,3\nrare,4\nonce,5\n"


def test_rare_classes_are_an_error_that_counts_them_or_left_out(tmp_path: Path) -> None:
    path, test = tmp_path / "t.csv", tmp_path / "test.csv"
    path.write_text(RARE)
    test.write_text("labels,a\np,1\nq,2\n")
    with pytest.raises(
        DataError, match=r"'once' has 1, 'rare' has 2; add rows, or leave out 2 classes with 3 rows"
    ) as error:
        load_data(DataRequest(path), tmp_path)
    assert error.value.parameter == "drop_rare_classes"
    left = load_data(DataRequest(path, drop_rare_classes=True), tmp_path)
    assert left.splits.classes == ("p", "q")
    assert sum(map(len, all_rows(left))) == 80
    assert isinstance(left.manifest, TableManifest)
    assert "2 rare classes left out, 3 rows: 'once', 'rare'" in left.manifest.notes
    # With a file of test rows two rows are enough, one for training and one for validation.
    two = load_data(DataRequest(path, drop_rare_classes=True, test=test), tmp_path)
    assert two.splits.classes == ("p", "q", "rare")
    assert [len(rows) for rows in all_rows(two)][2] == 2


def test_test_rows_of_another_file_may_have_their_columns_in_any_order(request_of: DataRequest, tmp_path: Path) -> None:
    test = tmp_path / "test.tsv"
    held_out = penguins()[:50].iloc[:, ::-1].assign(extra="x")
    held_out.to_csv(test, index=False, sep="\t")
    data = load_data(replace(request_of, test=test), tmp_path)
    assert data.test.source == str(test)
    assert len(data.splits.train_y) + len(data.splits.valid_y) == 344
    names = [column.name for column in data.splits.encoder.columns]
    expected = held_out["bill_length_mm"].to_numpy(np.float32)
    np.testing.assert_array_equal(data.test.x[:, names.index("bill_length_mm")], expected)
    assert [data.splits.classes[code] for code in data.test.y] == held_out["species"].tolist()


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
    assert not np.isin(row_keys(data.test.x, data.test.y), folder.seen()).any()
    assert np.isin(row_keys(data.train_raw, data.splits.train_y), folder.seen()).all()


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
