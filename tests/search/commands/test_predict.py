"""`insects-predict`: rows of a table or images with their labels and probabilities."""

from __future__ import annotations

import io
import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import Result

from tests.support.commands import Finished, client_of, command, invoke
from tests.support.image_search import Searched
from tests.support.real_tables import penguins
from tests.support.studies import builtin_splits

ADDED = ["predicted_species", "probability_Adelie", "probability_Chinstrap", "probability_Gentoo"]
URI = "models:/penguins-mlp@best"


def predict(monkeypatch: pytest.MonkeyPatch, store: Path, *arguments: str) -> Result:
    done = invoke(monkeypatch, "predict", "--best", "--store", str(store), *arguments)
    assert done.exit_code == 0, done.stderr
    return done


def shuffled() -> pd.DataFrame:
    """Penguins without labels, in another order of columns, with an extra one, unseen levels and gaps."""
    frame = penguins().drop(columns="species")[::-1].reset_index(drop=True)
    frame = frame[["year", "sex", "body_mass_g", "island", "flipper_length_mm", "bill_depth_mm", "bill_length_mm"]]
    island = frame["island"].where(frame.index % 7 != 0, "Mars")
    return frame.assign(note="as seen, twice", island=island.where(frame.index % 11 != 0))


@pytest.fixture(scope="module")
def expected(on_penguins: Path) -> pd.DataFrame:
    """What `mlflow.pyfunc` predicts for `shuffled`."""
    client_of(on_penguins)
    found = mlflow.pyfunc.load_model(URI).predict(shuffled())
    assert isinstance(found, pd.DataFrame)
    return found


def check(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == [*shuffled().columns, *ADDED]
    assert found[ADDED[0]].tolist() == expected[ADDED[0]].tolist()
    np.testing.assert_allclose(found[ADDED[1:]], expected[ADDED[1:]], atol=1e-6)
    assert found["note"].tolist() == ["as seen, twice"] * 344


@pytest.mark.parametrize(
    ("ending", "out"),
    [
        ("csv", "csv"),
        ("csv", "parquet"),
        ("csv", "jsonl"),
        ("parquet", "csv"),
        ("parquet", "parquet"),
        ("feather", "tsv"),
        ("jsonl", "jsonl"),
    ],
)
def test_rows_of_every_format_equal_those_of_pyfunc(
    ending: str, out: str, on_penguins: Path, expected: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, labelled = tmp_path / f"rows.{ending}", tmp_path / f"labelled.{out}"
    frame = shuffled()
    match ending:
        case "csv":
            frame.to_csv(path, index=False)
        case "parquet":
            frame.to_parquet(path)
        case "feather":
            frame.to_feather(path)
        case _:
            frame.to_json(path, orient="records", lines=True)
    done = predict(monkeypatch, on_penguins, str(path), "--out", str(labelled))
    assert done.stdout == ""
    assert f"344 rows labelled by penguins-mlp version 1, written to {labelled}: " in done.stderr
    assert "column 'island': 45 cells with a value that is rare or new to the model" in done.stderr.casefold()
    match out:
        case "parquet":
            found = pd.read_parquet(labelled)
        case "jsonl":
            found = pd.read_json(labelled, lines=True)
        case _:
            found = pd.read_csv(labelled, sep="\t" if out == "tsv" else ",")
    check(found, expected)
    if out in ("parquet", "jsonl"):  # numbers are numbers, whatever the rows were read from
        assert found["body_mass_g"].dtype == np.float64
    assert sorted(file.name for file in tmp_path.iterdir()) == [labelled.name, path.name]


def test_standard_output_holds_csv_and_nothing_else(on_penguins: Path, expected: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    shuffled().to_csv(path, index=False, sep=";", decimal=",")
    done = command("insects-predict", "--best", str(path), "--store", str(on_penguins))
    assert done.returncode == 0, done.stderr
    check(pd.read_csv(io.StringIO(done.stdout), sep=";", decimal=","), expected)


def test_json_holds_counts_and_without_a_file_the_rows(
    on_penguins: Path, expected: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.csv"
    shuffled().to_csv(path, index=False)
    answer = json.loads(predict(monkeypatch, on_penguins, str(path), "--json").stdout)
    assert answer["model"] == {"name": "penguins-mlp", "version": "1", "uri": URI}
    assert (answer["rows"], sum(answer["counts"].values())) == (344, 344)
    check(pd.DataFrame(answer["predictions"]), expected)
    counts = expected[ADDED[0]].value_counts()
    assert {name: count for name, count in answer["counts"].items() if count} == counts.to_dict()
    out = tmp_path / "out.csv"
    answer = json.loads(predict(monkeypatch, on_penguins, str(path), "--json", "--out", str(out)).stdout)
    assert (answer["out"], "predictions" in answer) == (str(out), False)


def test_cells_that_are_no_numbers_are_told_with_the_line_of_the_first(
    on_penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.csv"
    frame = shuffled().astype({"body_mass_g": object})
    frame.loc[[4, 9], "body_mass_g"] = "heavy"
    frame.to_csv(path, index=False)
    done = predict(monkeypatch, on_penguins, str(path))
    assert (
        f"{path}, line 6: 2 cells of column 'body_mass_g' must be numbers and count as missing; this is the first"
    ).casefold() in done.stderr.casefold()


REFUSED = {
    "missing columns": (
        "year,sex\n2007,male\n",
        "lacks columns 'island', 'bill_length_mm', 'bill_depth_mm', 'flipper_length_mm', 'body_mass_g' of the model",
    ),
    "columns of a prediction": (
        "island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year,predicted_species\n,,,,,,,\n",
        "has the column 'predicted_species' already, which the prediction would add; rename or remove what is there",
    ),
    "no rows": (
        "island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year\n",
        "has a header but no rows; add some",
    ),
    "short row": (
        "island,bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,sex,year\n1,2\n",
        "line 2: a row must have 7 cells like the header, found 2",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_rows_that_the_model_cannot_take_are_one_line_and_write_nothing(
    kind: str, on_penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, message = REFUSED[kind]
    path, out = tmp_path / "rows.csv", tmp_path / "labelled.csv"
    path.write_text(content)
    out.write_text("from before")
    arguments = ("--best", "--store", str(on_penguins), str(path), "--out", str(out))
    done = invoke(monkeypatch, "predict", *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert out.read_text() == "from before"
    assert len(list(tmp_path.iterdir())) == 2


def test_place_that_cannot_be_written_is_one_line(
    on_penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.csv"
    shuffled().to_csv(path, index=False)
    for out, message in (
        (tmp_path / "absent" / "t.csv", "cannot write "),
        (tmp_path / "t.xlsx", "must end in .csv, .tsv, .jsonl or .parquet, found 't.xlsx'; rename it (--out)"),
    ):
        done = invoke(monkeypatch, "predict", "--best", str(path), "--store", str(on_penguins), "--out", str(out))
        assert done.exit_code == 1
        assert message in done.stderr
        assert done.stderr.count("\n") == 1


def test_whole_numbers_as_classes_are_whole_numbers(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = builtin_splits()[1]
    path = tmp_path / "rows.parquet"
    pd.DataFrame(rows.x, columns=list(rows.features)).to_parquet(path)
    out = tmp_path / "out.parquet"
    predict(monkeypatch, finished.store, str(path), "--out", str(out))
    found = pd.read_parquet(out)
    assert found["predicted_labels"].dtype == np.int64
    np.testing.assert_allclose(found.filter(like="probability_").sum(axis=1), 1, atol=1e-5)


def test_images_of_a_folder_and_of_a_csv_are_labelled(
    searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rows = searched.demo / "images", list(searched.annotations())
    found = pd.read_csv(io.StringIO(predict(monkeypatch, searched.store, "--images", str(folder)).stdout))
    names = [row["filename"] for row in rows]
    assert sorted(found["filename"]) == sorted(names)
    logits = searched.logits(found["filename"].tolist())
    classes = searched.folder.data().sample.classes
    assert found["predicted_species"].tolist() == [classes[code] for code in logits.argmax(axis=1)]
    table = tmp_path / "some.csv"
    table.write_text("photo,who\n" + "".join(f"{name},ann\n" for name in names[:3]) + "absent.png,bob\n")
    arguments = ("--images", str(table), "--image-dir", str(folder), "--filename", "photo")
    refused = invoke(monkeypatch, "predict", "--best", "--store", str(searched.store), *arguments)
    assert refused.exit_code == 1
    assert "image 'absent.png' is not in " in refused.stderr
    done = predict(monkeypatch, searched.store, *arguments, "--skip-bad-images")
    some = pd.read_csv(io.StringIO(done.stdout))
    assert some["who"].tolist() == ["ann"] * 3
    assert "bad images left out: 1; the first: " in done.stderr.casefold()


def test_model_of_a_table_and_model_of_images_say_what_they_take(
    on_penguins: Path, searched: Searched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n")
    done = invoke(monkeypatch, "predict", "--best", "--store", str(searched.store), str(path))
    assert done.stderr == "Error: insects-mlp version 1 takes images: give them with --images\n"
    done = invoke(monkeypatch, "predict", "--best", "--store", str(on_penguins), "--images", str(tmp_path))
    assert done.stderr == ("Error: penguins-mlp version 1 takes the rows of a table, not images: name a table file\n")


def test_evaluation_knows_the_label_column_and_counts_rows_of_the_training(
    on_penguins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "more.csv"
    new = penguins().assign(bill_length_mm=penguins()["bill_length_mm"] + 0.01)
    pd.concat([penguins(), new]).to_csv(path, index=False)
    arguments = ("evaluate", "--best", "--store", str(on_penguins))
    held_out = json.loads(invoke(monkeypatch, *arguments, "--json").stdout)
    assert (held_out["model"]["name"], held_out["seen_in_training"]) == ("penguins-mlp", 0)
    answer = json.loads(invoke(monkeypatch, *arguments, "--test", str(path), "--json").stdout)
    gaps = int(penguins()["bill_length_mm"].isna().sum())  # rows without a bill are seen in both halves
    assert answer["total"] == 688
    assert 0 <= answer["seen_in_training"] - (344 - held_out["total"]) <= gaps
    text = invoke(monkeypatch, *arguments, "--test", str(path)).stdout
    assert f"{answer['seen_in_training']} of these 688 rows were part of the model's training" in " ".join(text.split())
    client = client_of(on_penguins)
    experiment = next(found for found in client.search_experiments() if found.name.startswith("penguins-"))
    runs = client.search_runs([experiment.experiment_id], "tags.`insects.role` = 'evaluation'")
    assert {run.data.params["seen_in_training"] for run in runs} == {"0", str(answer["seen_in_training"])}


def test_best_is_of_the_table_that_was_searched_last(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"{'pq'[n % 2]},{n % 2 * 10 + n / 7}\n" for n in range(60)]
    names = ("bees", "flies")
    for place, name in enumerate(names):
        (tmp_path / f"{name}.csv").write_text("kind,a\n" + "".join(rows[place:]))
        arguments = ("--train", str(tmp_path / f"{name}.csv"), "--target", "kind", "--trials", "1", "--epochs", "1")
        done = invoke(monkeypatch, "search", *arguments, "--width", "8", "--depth", "1", "--store", str(store))
        assert done.exit_code == 0, done.stderr
        assert f"Model {name}-mlp: version 1 is now best" in done.stdout
        assert f"Study {name}-" in done.stdout
    for extra, name in (((), "flies-mlp"), (("--model-name", "bees-mlp"), "bees-mlp")):
        done = invoke(monkeypatch, "evaluate", "--best", "--store", str(store), *extra)
        assert done.stdout.startswith(f"Model {name} version 1 on held-out rows of ")
