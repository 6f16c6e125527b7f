"""Descriptions of tables: statistics equal to those of pandas, text that fits into 80 columns, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from insects.errors import DataError
from insects.spiral import FEATURES, builtin_tables
from insects.tables.columns import Columns
from insects.tables.describe import CORRELATED, STATISTICS, WIDTH, Description, describe
from insects.tables.labelled import ColumnChoice
from insects.tables.raw import RawTable, read_raw_table
from tests.support.csv_cases import MESSY, raw_table
from tests.support.csv_strategies import csv_files

REFERENCE = Path(__file__).parents[4] / "shared" / "data" / "insects_train.csv"
PANDAS = ["count", "mean", "std", "min", "25%", "50%", "75%", "max"]


def random_table(rows: int, features: int, classes: int) -> RawTable:
    generator = np.random.default_rng(rows + features + classes)
    none = np.zeros(features, int)
    names = tuple(f"feature with a long name {column}" for column in range(features))
    labels = tuple(f"class {code}" for code in range(classes))
    y = generator.integers(0, classes, rows).astype(np.int32)
    return RawTable(names, "species", labels, generator.normal(size=(rows, features)), y, none, none, "made up")


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference table is not beside the project")
def test_reference_table_has_its_known_statistics() -> None:
    description = describe(read_raw_table(REFERENCE, ColumnChoice()))
    assert (description.rows, description.features) == (1200, ("feature1", "feature2"))
    assert [name for name, _ in description.classes] == list("01234")
    assert round(float(description.correlations[0, 1]), 2) == -0.01
    lines = [" ".join(line.split()) for line in description.text().splitlines()]
    for line in (
        "1,200 rows, 2 features, 5 classes",
        "mean 2.001667 -0.005118 -0.011813",
        "std 1.423617 0.406383 0.407423",
        "min 0.000000 -0.991967 -0.940022",
        "25% 1.000000 -0.252324 -0.252466",
        "50% 2.000000 0.000000 -0.011340",
        "75% 3.000000 0.244759 0.252078",
        "max 4.000000 0.963337 0.999714",
        "feature1 feature2 -0.01",
    ):
        assert line in lines


def test_statistics_of_the_built_in_table_equal_those_of_pandas() -> None:
    table = RawTable.from_table(builtin_tables()[0], Columns.of_numbers(FEATURES))
    frame = pd.DataFrame(table.x, columns=table.features).assign(labels=table.y)[["labels", *table.features]]
    described = describe(table)
    assert described.columns == ("labels", "feature1", "feature2")
    rows = [STATISTICS.index(name) for name in PANDAS]
    np.testing.assert_allclose(described.statistics[rows], frame.describe().loc[PANDAS].to_numpy(), rtol=1e-12)
    assert dict(described.classes) == {str(k): v for k, v in frame["labels"].value_counts().items()}


def test_missing_values_text_and_infinities_do_not_count_in_the_statistics(tmp_path: Path) -> None:
    described = describe(raw_table(tmp_path / "messy.csv", MESSY, "species", numeric=("mass", "bill")))
    assert described.statistics[STATISTICS.index("mean"), 0] == 2.5
    assert described.statistics[STATISTICS.index("count")].tolist() == [3, 3]


def test_rows_without_a_label_are_counted_apart_from_the_classes(tmp_path: Path) -> None:
    described = describe(raw_table(tmp_path / "messy.csv", MESSY, "species", numeric=("mass", "bill")))
    assert described.classes == (("Adelie", 2), ("None", 2))
    assert described.unlabelled == 1
    assert "(no label) 1 20.0 %" in " ".join(described.text().split())


def test_label_column_is_described_when_its_classes_are_numbers(tmp_path: Path) -> None:
    described = describe(raw_table(tmp_path / "t.csv", "labels,a\n1,5\n3,6\n,7\n"))
    assert described.columns == ("labels", "a")
    assert described.statistics[:, 0].tolist()[:4] == [2, 1, 0, 2.0]
    assert describe(raw_table(tmp_path / "t.csv", "labels,a\nx,5\n3,6\n")).columns == ("a",)


@pytest.mark.parametrize(("features", "classes"), [(1, 2), (5, 30), (40, 3), (3000, 200)])
def test_text_fits_into_80_columns_and_counts_what_it_leaves_out(features: int, classes: int) -> None:
    text = describe(random_table(400, features, classes)).text()
    lines = text.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) < 120
    assert ("… and 2,988 more columns" in text) == (features == 3000)
    assert (f"… and {classes - 20} more classes" in text) == (classes > 20)
    assert (f"correlations of the first {CORRELATED} features" in text) == (features > CORRELATED)


def test_very_small_and_very_large_numbers_keep_their_digits(tmp_path: Path) -> None:
    text = describe(raw_table(tmp_path / "t.csv", "labels,tiny,huge\nx,1.5e-9,2e12\ny,2.5e-9,3e12\n")).text()
    assert "2e-09" in text
    assert "2.5e+12" in text


def test_dictionary_is_json_with_none_for_nan(tmp_path: Path) -> None:
    described: Description = describe(raw_table(tmp_path / "messy.csv", MESSY, "species", numeric=("mass", "bill")))
    content = json.loads(json.dumps(described.as_dict(), allow_nan=False))
    assert content["columns"]["mass"] == {
        "count": 3, "missing": 2, "not numeric": 0, "mean": 2.5, "std": 1.0,
        "min": 1.5, "25%": 2.0, "50%": 2.5, "75%": 3.0, "max": 3.5,
    }  # fmt: skip
    assert content["kinds"] == {"mass": "number", "bill": "number", "island": "category", "flag": "category"}
    assert content["categories"]["island"]["levels"] == {"north": 2, "south": 2}
    assert content["categories"]["island"]["missing"] == 1
    assert content["classes"] == {"Adelie": 2, "None": 2}
    assert content["correlations"]["columns"] == ["mass", "bill"]


def test_kinds_levels_dates_and_gaps_are_in_the_text(tmp_path: Path) -> None:
    rows = "".join(f"k{n % 2},2024-0{1 + n % 3}-01,{n % 7},{'pqr'[n % 3] if n % 5 else ''}\n" for n in range(30))
    lines = describe(raw_table(tmp_path / "t.csv", f"labels,when,a,c\n{rows}")).text().splitlines()
    assert "columns: 1 number, 1 category, 1 date" in lines
    shown = [" ".join(line.split()) for line in lines]
    assert "when 2024-01-01 2024-03-01 0" in shown
    assert "c 3 6 0.00 q 26.7 %, r 26.7 %, p 26.7 %" in shown
    assert "missing values: 6 in 1 column" in shown


@settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],  # some have many columns
)
@given(content=csv_files(most_columns=1_000))
def test_any_file_is_refused_in_one_line_or_described(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    message, described = "", None
    try:
        described = describe(read_raw_table(path, ColumnChoice()))
    except DataError as error:
        message = str(error)
    assert message.isprintable()  # so it is one line
    if described is not None:
        json.dumps(described.as_dict(), allow_nan=False)
        assert all(len(line) <= WIDTH for line in described.text().splitlines()[1:])
