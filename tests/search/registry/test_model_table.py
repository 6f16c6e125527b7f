"""What stands beside a registered program: it makes of any table's rows what the training made of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from search.registry.model_table import ModelTable
from search.store.study_folder import StudyFolder
from search.study.data import DataRequest, load_data
from tests.support.real_tables import penguins
from tests.support.studies import a_config, begun_folder

FEATURES = ("island", "bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "sex", "year")


def study_on(place: Path, request: DataRequest) -> StudyFolder:
    data = load_data(request, place)
    folder = StudyFolder(place / "s")
    folder.make()
    folder.begin(a_config().fingerprint(data), "penguins-mlp", data)
    return folder


def table_of(folder: StudyFolder) -> ModelTable:
    manifest = folder.table()
    assert manifest is not None
    return ModelTable.of_study(manifest, folder.data())


@pytest.fixture
def on_csv(tmp_path: Path) -> DataRequest:
    path = tmp_path / "penguins.csv"
    penguins().to_csv(path, index=False)
    return DataRequest(path, "species")


@pytest.mark.parametrize("scaling", ["standard", "quantile", "robust", "ple"])
def test_metadata_makes_of_rows_what_the_study_made_of_its_own(
    scaling: str, on_csv: DataRequest, tmp_path: Path
) -> None:
    folder = study_on(tmp_path, replace(on_csv, scaling=scaling))
    metadata = {"table": table_of(folder).as_metadata(), "classes": ["Adelie", "Chinstrap", "Gentoo"]}
    read = ModelTable.from_metadata(json.loads(json.dumps(metadata)))
    assert (read.target, read.columns.names) == ("species", FEATURES)
    # All rows of the file, columns in another order and among others, are coded as the study coded them.
    frame = penguins()[::-1].reset_index(drop=True)[[*reversed(FEATURES), "species"]].assign(extra="x")
    coded = read.columns.code(frame, "rows")
    data = folder.data()
    known = {row.tobytes(): encoded for row, encoded in zip(data.train_raw, data.sample.train_x, strict=True)}
    found = [(row.tobytes(), encoded) for row, encoded in zip(coded, read.encoder.transform(coded), strict=True)]
    assert {row for row, _ in found} >= known.keys()
    for row, encoded in found:
        if row in known:
            np.testing.assert_array_equal(encoded, known[row])


def test_figures_show_the_two_numbers_that_tell_the_classes_apart_best(on_csv: DataRequest, tmp_path: Path) -> None:
    from sklearn.feature_selection import f_classif

    table = table_of(study_on(tmp_path, on_csv))
    numbers = penguins().select_dtypes("number").dropna()
    f_of = pd.Series(f_classif(numbers, penguins()["species"][numbers.index])[0], index=numbers.columns)
    assert table.shown is not None
    shown = [table.columns.coded[place].name for place in table.shown]
    assert set(shown) == set(f_of.nlargest(2).index) == {"flipper_length_mm", "bill_length_mm"}
    assert ModelTable.from_metadata({"table": table.as_metadata()}).shown == table.shown


def test_two_plain_numbers_or_one_number_are_not_chosen_from(on_csv: DataRequest, tmp_path: Path) -> None:
    assert table_of(begun_folder(tmp_path, a_config(), "builtin")).shown is None
    one = table_of(study_on(tmp_path, replace(on_csv, features=("island", "sex", "body_mass_g"))))
    assert one.shown is None
    assert ModelTable.from_metadata({"table": one.as_metadata()}).shown is None


DAMAGES: dict[str, Any] = {
    "no target": lambda table: table.pop("target"),
    "no encoder": lambda table: table.pop("encoder"),
    "no word about figures": lambda table: table.pop("shown"),
    "one column shown": lambda table: table.update(shown=[1]),
    "unknown kind": lambda table: table["columns"][0].update(kind="colour"),
    "unknown scaling": lambda table: table["encoder"].update(scaling={"name": "log"}),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_metadata_that_is_not_that_of_a_table_is_refused(kind: str, tmp_path: Path) -> None:
    table = table_of(begun_folder(tmp_path, a_config())).as_metadata()
    ModelTable.from_metadata({"table": table})
    DAMAGES[kind](table)
    with pytest.raises((KeyError, TypeError, ValueError)):
        ModelTable.from_metadata({"table": table})
