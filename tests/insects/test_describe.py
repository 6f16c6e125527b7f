"""What is said of a table: pandas' own figures, what is missing, what does not fit on the page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.feature_selection import f_classif

from insects.errors import DataError
from insects.spiral import builtin_tables
from insects.tables.associations import anova_f, correlations, most_telling
from insects.tables.describe import CORRELATED, FIGURES, WIDTH, Description, describe
from insects.tables.raw import UNLABELLED, RawTable, raw, read_raw_table
from tests.insects.csv_strategies import csv_files

REAL = Path(__file__).parents[3] / "shared" / "data" / "insects_train.csv"
CI = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
    ],  # each example overwrites one file
)
PANDAS = ["count", "mean", "std", "min", "25%", "50%", "75%", "max"]

MESSY = """species,island,mass,bill,flag
Adelie,north,1.5,10,True
NA,south,,20,False
Adelie, ,2.5,inf,True
,north,NA,x,False

NA,south,3.5, 40 ,True
"""


def table_of(path: Path, text: str, target: str = "labels") -> RawTable:
    path.write_text(text, encoding="utf-8")
    return read_raw_table(path, target)


def refusal(path: Path) -> str:
    try:
        read_raw_table(path)
    except DataError as error:
        return str(error)
    return ""


def random_table(rows: int, features: int, classes: int) -> RawTable:
    generator = np.random.default_rng(rows + features + classes)
    none = np.zeros(features, int)
    names = tuple(f"feature with a long name {column}" for column in range(features))
    labels = tuple(f"class {code}" for code in range(classes))
    y = generator.integers(0, classes, rows).astype(np.int32)
    return RawTable(names, "species", labels, generator.normal(size=(rows, features)), y, none, none, "made up")


@pytest.mark.skipif(not REAL.exists(), reason="the real table is not beside the project")
def test_real_table_has_its_known_figures() -> None:
    description = describe(read_raw_table(REAL))
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


def test_figures_of_the_built_in_table_are_those_of_pandas() -> None:
    table = raw(builtin_tables()[0])
    frame = pd.DataFrame(table.x, columns=table.features).assign(labels=table.y)[["labels", *table.features]]
    described = describe(table)
    assert described.columns == ("labels", "feature1", "feature2")
    rows = [FIGURES.index(name) for name in PANDAS]
    np.testing.assert_allclose(described.figures[rows], frame.describe().loc[PANDAS].to_numpy(), rtol=1e-12)
    assert dict(described.classes) == {str(k): v for k, v in frame["labels"].value_counts().items()}


def test_missing_values_text_and_infinities_are_counted_and_left_out_of_the_figures(tmp_path: Path) -> None:
    table = table_of(tmp_path / "messy.csv", MESSY, "species")
    assert table.features == ("island", "mass", "bill", "flag")
    np.testing.assert_array_equal(table.missing, [1, 2, 0, 0])
    np.testing.assert_array_equal(table.other, [4, 0, 2, 5])
    np.testing.assert_array_equal(table.x[:, 1], [1.5, np.nan, 2.5, np.nan, 3.5])
    np.testing.assert_array_equal(table.x[:, 2], [10, 20, np.nan, np.nan, 40])
    described = describe(table)
    assert described.figures[FIGURES.index("mean"), 1] == 2.5
    assert described.figures[FIGURES.index("count")].tolist() == [0, 3, 3, 0]


@pytest.mark.parametrize("line", ['""', '" "', "\x0c", "\xa0", "\u3000", '"\n"'])
def test_line_that_a_search_passes_over_is_no_row(line: str, tmp_path: Path) -> None:
    table = table_of(tmp_path / "t.csv", f"a,b,labels\n1,2,x\n{line}\n3,,y\n{line}\n5,6,x\n")
    np.testing.assert_array_equal(table.x, [[1, 2], [3, np.nan], [5, 6]])
    assert (table.y.tolist(), table.missing.tolist()) == ([0, 1, 0], [0, 1])


def test_species_called_na_is_a_class_and_an_empty_label_is_none(tmp_path: Path) -> None:
    table = table_of(tmp_path / "messy.csv", MESSY, "species")
    assert table.classes == ("Adelie", "NA")
    assert table.y.tolist() == [0, 1, 0, UNLABELLED, 1]
    described = describe(table)
    assert described.classes == (("Adelie", 2), ("NA", 2))
    assert described.unlabelled == 1
    assert "(no label) 1 20.0 %" in " ".join(described.text().split())


def test_label_column_is_described_when_its_classes_are_numbers(tmp_path: Path) -> None:
    described = describe(table_of(tmp_path / "t.csv", "labels,a\n1,5\n3,6\n,7\n"))
    assert described.columns == ("labels", "a")
    assert described.figures[:, 0].tolist()[:4] == [2, 1, 0, 2.0]
    assert describe(table_of(tmp_path / "t.csv", "labels,a\nx,5\n3,6\n")).columns == ("a",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; it needs a header line"),
        ("labels,a\n", "has a header but no rows"),
        ("labels,a\n1,2\n3\n", "line 3: a row must have 2 cells like the header, found 1"),
        ("labels,a,a\n1,2,3\n", "line 1: a column name must occur once"),
        ("a,b\n1,2\n", "has no label column 'labels'"),
        ('labels,a\n1,"2\n', "line 2: the row is not valid CSV"),
    ],
)
def test_what_is_no_table_is_told_as_a_search_tells_it(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        table_of(tmp_path / "t.csv", text)
    with pytest.raises(DataError, match="there is no file"):
        read_raw_table(tmp_path / "absent.csv")


def test_chosen_features_come_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,labels,c\n1,2,0,3\n4,5,1,6\n")
    table = read_raw_table(tmp_path / "t.csv", features=["c", "a"])
    assert table.features == ("c", "a")
    assert table.x.tolist() == [[3, 1], [6, 4]]


@pytest.mark.parametrize(("features", "classes"), [(1, 2), (5, 30), (40, 3), (3000, 200)])
def test_text_fits_80_columns_and_says_what_it_leaves_out(features: int, classes: int) -> None:
    text = describe(random_table(400, features, classes)).text()
    lines = text.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert len(lines) < 120
    assert ("… and 2,988 more columns" in text) == (features == 3000)
    assert (f"… and {classes - 20} more classes" in text) == (classes > 20)
    assert (f"correlations of the first {CORRELATED} features" in text) == (features > CORRELATED)


def test_figures_keep_their_digits_whatever_the_scale(tmp_path: Path) -> None:
    text = describe(table_of(tmp_path / "t.csv", "labels,tiny,huge\nx,1.5e-9,2e12\ny,2.5e-9,3e12\n")).text()
    assert "2e-09" in text
    assert "2.5e+12" in text


def test_dictionary_is_json_and_has_none_for_what_is_no_number(tmp_path: Path) -> None:
    described: Description = describe(table_of(tmp_path / "messy.csv", MESSY, "species"))
    content = json.loads(json.dumps(described.as_dict(), allow_nan=False))
    assert content["columns"]["mass"] == {
        "count": 3, "missing": 2, "not numeric": 0, "mean": 2.5, "std": 1.0,
        "min": 1.5, "25%": 2.0, "50%": 2.5, "75%": 3.0, "max": 3.5,
    }  # fmt: skip
    assert content["columns"]["island"]["mean"] is None
    assert content["classes"] == {"Adelie": 2, "NA": 2}
    assert content["correlations"]["columns"] == ["island", "mass", "bill", "flag"]


def test_correlations_are_those_of_pandas_over_the_rows_that_both_have() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 5)) * [1, 1e-9, 1e6, 1, 1] + [0, 0, 1e7, 5, 0]
    x[:, 4] += x[:, 0]
    x[generator.random(x.shape) < 0.3] = np.nan
    np.testing.assert_allclose(correlations(x), pd.DataFrame(x).corr().to_numpy(), rtol=1e-7, atol=1e-9)


def test_constant_column_correlates_with_nothing_and_tells_nothing() -> None:
    x = np.column_stack([np.full(10, 0.1), np.arange(10.0)])
    assert np.isnan(correlations(x)[0]).all()
    assert np.isnan(anova_f(x, np.arange(10) % 2, 2)[0])


def test_anova_f_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    y = generator.integers(0, 4, 200)
    x = generator.normal(size=(200, 6)) + np.outer(y, [0, 0.1, 0.5, 2, 10, 0]) + 100
    np.testing.assert_allclose(anova_f(x, y, 4), f_classif(x, y)[0], rtol=1e-9)
    holes = x.copy()
    holes[:50, 3] = np.nan
    np.testing.assert_allclose(anova_f(holes, y, 4)[3], f_classif(x[50:, 3:4], y[50:])[0][0], rtol=1e-9)


def test_a_column_that_is_the_class_tells_most() -> None:
    y = np.arange(12) % 3
    x = np.column_stack([np.arange(12.0), y, np.full(12, 7.0)])
    assert most_telling(anova_f(x, y, 3), 5).tolist() == [1, 0]


@CI
@given(st.lists(st.sampled_from(["", " ", "NA", "1", "-2.5e3", " 7 ", "x", "inf", "True", '"a,b"']), min_size=1))
def test_every_cell_is_a_number_missing_or_something_else(tmp_path: Path, cells: list[str]) -> None:
    kinds = {"": 0, " ": 0, "NA": 0, "1": 1, "-2.5e3": 1, " 7 ": 1}
    expected = [sum(kinds.get(cell, 2) == kind for cell in cells) for kind in range(3)]
    table = table_of(tmp_path / "t.csv", "labels,a\n" + "".join(f"k,{cell}\n" for cell in cells))
    assert [table.missing[0], np.isfinite(table.x).sum(), table.other[0]] == expected


@CI
@given(content=csv_files())
def test_any_file_is_refused_with_one_line_or_described(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    message = refusal(tmp_path / "t.csv")
    if message:
        assert message.isprintable()  # so it is one line
        return
    described = describe(read_raw_table(tmp_path / "t.csv"))
    json.dumps(described.as_dict(), allow_nan=False)
    assert all(len(line) <= WIDTH for line in described.text().splitlines()[1:])
