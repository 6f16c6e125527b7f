"""A table as it comes out of a spreadsheet, searched and evaluated.

Windows-1252, semicolons, decimal commas, gaps, text, yes and no, dates, an index, a constant, a class of one row.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from search.store.study_folder import StudyFolder
from tests.support.commands import RefusingProcess, client_of, digests, invoke, own

ROWS = 360
SPECIES = ("Ente", "Gans", "Möwe")
SETTINGS = ("--target", "art", "--trials", "2", "--epochs", "12", "--width", "16", "--depth", "1", "--lr", "0.01")
COLUMNS = (
    *("--categorical", "jahr", "--numeric", "größe", "--drop", "notiz", "--group", "ring"),
    *("--scaling", "robust", "--drop-rare-classes"),
)
FORMAT = ("--separator", ";", "--decimal", ",", "--encoding", "cp1252")


def birds() -> pd.DataFrame:
    """360 rows of three species and one of an eagle; rings of three rows each."""
    generator = np.random.default_rng(0)
    y = np.arange(ROWS) % 3
    frame = pd.DataFrame(
        {
            "nr": np.arange(1, ROWS + 1),
            "art": np.array(SPECIES)[y],
            "gewicht": np.round(y + generator.normal(0, 0.4, ROWS), 4),
            "größe": np.round(2.0 - y + generator.normal(0, 0.6, ROWS), 4),
            "farbe": np.array(["weiß", "grau", "braun"])[(y + (generator.random(ROWS) < 0.3)) % 3],
            "zahm": np.where(generator.random(ROWS) < 0.5, "ja", "nein"),
            "gesehen": [f"{1 + day % 28:02}.{1 + day % 12:02}.2024" for day in generator.integers(0, 300, ROWS)],
            "jahr": 2020 + generator.integers(0, 3, ROWS),
            "notiz": [f"am See {row % 5}" for row in range(ROWS)],
            "land": "Österreich",
            "ring": [f"r{row // 3}" for row in range(ROWS)],
        }
    )
    frame.loc[::9, "gewicht"] = np.nan
    frame.loc[::11, "farbe"] = None
    frame.loc[ROWS - 1, "art"] = "Adler"
    return frame


@dataclass(frozen=True)
class Birds:
    """The search on `birds`.

    Attributes:
        folder: The folder of table and store.
        answer: The object that the command printed.
        stderr: Its messages.
    """

    folder: Path
    answer: dict[str, Any]
    stderr: str

    @property
    def table(self) -> Path:
        return self.folder / "Vögel 2024.csv"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def study(self) -> StudyFolder:
        return own(self.store).study(self.answer["study"])


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Birds:
    folder = tmp_path_factory.mktemp("birds")
    found = Birds(folder, {}, "")
    birds().to_csv(found.table, index=False, sep=";", decimal=",", encoding="cp1252")
    found.store.mkdir()
    shutil.copy(empty_database, found.store)
    arguments = ("--train", str(found.table), "--store", str(found.store), "--json", *SETTINGS, *COLUMNS, *FORMAT)
    with pytest.MonkeyPatch.context() as patch:
        done = invoke(patch, "search", *arguments)
    assert done.exit_code == 0, done.stderr
    return Birds(folder, json.loads(done.stdout), done.stderr)


def evaluated(searched: Birds, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> dict[str, Any]:
    done = invoke(monkeypatch, "evaluate", "--best", "--store", str(searched.store), "--json", *arguments)
    assert done.exit_code == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_study_and_model_are_named_after_the_file(searched: Birds) -> None:
    assert re.fullmatch("Vogel-2024-[0-9a-f]{8}", searched.answer["study"])
    assert searched.answer["model"] == {
        "name": "Vogel-2024-mlp",
        "version": "1",
        "alias": "best",
        "uri": "models:/Vogel-2024-mlp@best",
        "note": "version 1 is now best",
    }
    assert searched.answer["upload_error"] is None


def test_search_says_what_it_left_out_and_what_it_filled(searched: Birds) -> None:
    told = searched.stderr.splitlines()
    assert "1 rare class left out, 1 row: 'Adler'" in told
    assert "2 columns not used: 'nr' (counts the rows), 'land' (always 'Österreich')" in told
    (gaps,) = [line for line in told if line.startswith("Gaps in training rows, filled: ")]
    assert re.fullmatch(r"Gaps in training rows, filled: 'gewicht' \d+, 'farbe' \d+", gaps)


def test_study_has_the_kinds_that_were_asked_for_and_found(searched: Birds) -> None:
    table, data = searched.study.table(), searched.study.data()
    assert table is not None
    assert {column.name: column.kind for column in table.model_columns.columns} == {
        "gewicht": "number",
        "größe": "number",
        "farbe": "category",
        "zahm": "category",
        "gesehen": "date",
        "jahr": "category",
    }
    assert data.sample.classes == SPECIES
    assert data.sample.encoder.scaling is not None
    assert data.sample.encoder.scaling.name == "robust"
    inputs = data.sample.encoder.input_names
    assert {"gewicht missing", "farbe=weiß", "farbe=missing", "zahm=ja", "jahr=2021"} < set(inputs)
    np.testing.assert_array_equal(data.sample.encoder.transform(data.train_raw), data.sample.train_x)
    assert sum(map(len, (data.train_raw, data.valid_raw, data.test.x))) == ROWS - 1


def test_rings_are_in_one_part(searched: Birds) -> None:
    data = searched.study.data()
    names = [column.name for column in data.sample.encoder.columns]
    size, weight = names.index("größe"), names.index("gewicht")
    frame = birds()[["größe", "gewicht"]].to_numpy(np.float32)
    rings = []
    for part in (data.train_raw, data.valid_raw, data.test.x):
        same = (part[:, None, size] == frame[:, 0]) & (
            (part[:, None, weight] == frame[:, 1]) | (np.isnan(part[:, None, weight]) & np.isnan(frame[:, 1]))
        )
        assert (same.sum(axis=1) == 1).all()
        rings.append(set((same.argmax(axis=1) // 3).tolist()))
    assert sum(map(len, rings)) == len(set.union(*rings)) == ROWS // 3


def test_format_is_found_by_looking_and_changes_no_study(searched: Birds, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("--train", str(searched.table), "--store", str(searched.store), *SETTINGS, *COLUMNS, "--json")
    again = invoke(monkeypatch, "search", *arguments, workers=RefusingProcess)
    assert again.exit_code == 0, again.stderr
    answer = json.loads(again.stdout)
    for key in ("study", "study_digest", "trials", "upload_error"):  # nothing is left to train or to upload
        assert answer[key] == searched.answer[key]


def test_mlflow_shows_the_columns_as_the_file_has_them(searched: Birds) -> None:
    client = client_of(searched.store)
    experiment = client.get_experiment_by_name(searched.answer["study"])
    assert experiment is not None
    runs = {str(run.info.run_name): run for run in client.search_runs([experiment.experiment_id])}
    trials, finals = ([f"{role}-{number:04d}" for number in (0, 1)] for role in ("trial", "final"))
    assert set(runs) == {f"search {searched.answer['study']}", *trials, *finals}
    files = {name: digests(Path(run.info.artifact_uri.removeprefix("file://"))) for name, run in runs.items()}
    assert {"decision_boundary.png", "loss_curves.png"} < set(files["trial-0000"])
    search = runs[f"search {searched.answer['study']}"]
    place = Path(search.info.artifact_uri.removeprefix("file://"))
    described = json.loads((place / "table" / "description.json").read_text(encoding="utf-8"))
    text = (place / "table" / "description.txt").read_text(encoding="utf-8")
    assert "weiß" in text
    assert "1 rare class left out" in text
    assert described["target"] == "art"
    version = client.get_model_version_by_alias("Vogel-2024-mlp", "best")
    chosen = searched.answer["final"]["chosen"]
    assert version.run_id == runs[f"final-{chosen:04d}"].info.run_id


def test_held_out_rows_and_a_file_of_another_format_are_evaluated_by_the_models_own_label(
    searched: Birds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = searched.study.data().test
    held_out = evaluated(searched, monkeypatch)
    assert held_out["total"] == len(test.y)
    assert held_out["accuracy"] >= 0.7
    assert (held_out["seen_in_training"], held_out["test_looks"]) == (0, 1)
    assert held_out["model"]["name"] == "Vogel-2024-mlp"
    assert held_out["test"] == f"held-out rows of {searched.table}"
    all_of_them = tmp_path / "all.csv"
    birds()[:-1].iloc[::-1, ::-1].to_csv(all_of_them, index=False)  # UTF-8, commas, points
    answer = evaluated(searched, monkeypatch, "--test", str(all_of_them))
    assert answer["total"] == ROWS - 1
    assert answer["seen_in_training"] == ROWS - 1 - len(test.y)
    assert answer["accuracy"] >= 0.7
    assert [row["name"] for row in answer["per_class"]] == list(SPECIES)
    named = tmp_path / "named.csv"
    birds()[:-1].rename(columns={"art": "vogel"}).to_csv(named, index=False, sep="|", encoding="utf-16")
    options = ("--test", str(named), "--target", "vogel", "--separator", "|", "--encoding", "utf-16")
    assert evaluated(searched, monkeypatch, *options)["confusion"] == answer["confusion"]


def test_class_that_was_left_out_is_named_when_it_is_evaluated(
    searched: Birds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "eagle.csv"
    birds()[-2:].to_csv(path, index=False)
    done = invoke(monkeypatch, "evaluate", "--best", "--store", str(searched.store), "--test", str(path))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: {path}, line 3, column 'art': a label must be one of the classes trained on "
        "('Ente', 'Gans', 'Möwe'), found 'Adler'; correct it or leave the row out\n"
    )
