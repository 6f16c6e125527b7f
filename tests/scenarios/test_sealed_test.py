"""The test rows are sealed: whatever they hold, the search trains, chooses, registers and shows the same."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insects.spiral import builtin_tables
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.winner import load_model
from tests.support.commands import SMALL, invoke

ROOT = Path(__file__).parents[2]


def write_rows(path: Path, x: np.ndarray, y: np.ndarray) -> None:
    lines = [f"{label},{a!r},{b!r}" for label, (a, b) in zip(y.tolist(), x.tolist(), strict=True)]
    path.write_text("\n".join(["labels,feature1,feature2", *lines]) + "\n")


def searched(monkeypatch: pytest.MonkeyPatch, place: Path, test: Path) -> tuple[dict[str, Any], StudyFolder]:
    store = place / test.stem
    done = invoke(
        monkeypatch, "search", *SMALL, "--train", str(place / "train.csv"), "--test", str(test), "--study", "s",
        "--store", str(store), "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), Store.at(store).study("s")


def test_search_does_not_depend_on_the_test_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, test = builtin_tables()
    write_rows(tmp_path / "train.csv", table.x[:400], table.y[:400])
    write_rows(tmp_path / "right.csv", test.x, test.y)
    write_rows(tmp_path / "wrong.csv", -test.x[:50], (test.y[:50] + 1) % 5)
    answers, folders = zip(
        *(searched(monkeypatch, tmp_path, tmp_path / f"{name}.csv") for name in ("right", "wrong")), strict=True
    )
    for key in ("study_digest", "final"):
        assert answers[0][key] == answers[1][key]
    figures = [[(t["number"], t["valid_loss"], t["valid_accuracy"]) for t in answer["trials"]] for answer in answers]
    assert figures[0] == figures[1]
    assert answers[0]["final"]["baselines"] == answers[1]["final"]["baselines"]
    chosen, folds = answers[0]["final"]["chosen"], answers[0]["final"]["folds"]
    models = [load_model(folder, chosen, folds) for folder in folders]
    assert models[0] is not None
    assert models[1] is not None
    for one, other in zip(models[0].weights, models[1].weights, strict=True):
        np.testing.assert_array_equal(one, other)
    data = [folder.data() for folder in folders]
    assert (len(data[0].test.y), len(data[1].test.y)) == (len(test.y), 50)  # they did have other test rows


def test_what_trains_and_chooses_is_given_no_test_rows() -> None:
    """Training takes `Splits` and `FoldRows`, which hold none; `StoredData.test` is read where it is written down."""
    readers = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "search").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "test" and isinstance(node.ctx, ast.Load)
    ]
    assert set(readers) == {
        "search/commands/check.py",  # counts them, and trains nothing
        "search/commands/evaluation_data.py",  # of insects-evaluate
        "search/store/study_folder.py",  # writes them down for it
        "search/study/config.py",  # takes their digest
        "search/study/data.py",  # reads or draws them
        "search/tracking/held_out.py",  # writes them to MLflow for it
        "search/tracking/search_run.py",
    }
