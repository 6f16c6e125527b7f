"""`insects-search --check`: what a search would do, without one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from insects.params import TrialParams
from search.study import estimate
from search.study.config import FinalSettings
from search.study.estimate import Estimate, estimated_seconds
from tests.support.commands import Finished, RefusingProcess, invoke
from tests.support.studies import a_config, builtin_splits

ROWS = [f"{'ab'[n % 2]},{n * n % 97},{'xyz'[n % 3]},2024-01-{1 + n % 28:02d},1" for n in range(60)]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["kind,size,shade,day,same", *ROWS]))
    return path


def test_check_says_what_would_be_done_and_writes_nothing(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("t.csv", "kind", "--check", "--trials", "7", "--epochs", "3", "--workers", "1", "--width", "8")
    done = invoke(monkeypatch, "search", *arguments, workers=RefusingProcess)
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    study = re.fullmatch(r"Study (t-[0-9a-f]{8}): 7 trials of 3 epochs by tpe; model t-mlp", lines[4])
    assert study is not None
    assert lines[:4] + lines[5:6] == [
        "Data: t.csv, 60 rows; label kind, 2 classes: 'a' 30, 'b' 30",
        "Columns: 1 number ('size'), 1 category ('shade'), 1 date ('day'); 7 inputs of the network; not used: 'same'",
        "Splits: 43 training, 11 validation, 6 test rows",
        "Space: depth 1 to 4, width 8, lr 0.0001 to 0.1, batch size 4, 8, 16, 32, 64, 128",
        "Final: 3 best trials on 5 folds, 15 networks",
    ]
    assert lines[6].startswith("Engine: compiled on the cpu (")
    assert lines[6].endswith(", 1 worker")
    assert re.fullmatch(r"Memory: up to 0\.1 MB a trial(, .* GB free)?", lines[7])
    assert re.fullmatch(r"Time: about \d+ s for the trials and \d+ s for the final, besides the uploads .*", lines[8])
    assert lines[9:] == ["Nothing was trained, and no study begun."]
    assert list(table.parent.iterdir()) == [table]


def test_check_knows_the_trials_of_a_study(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = (*finished.arguments, "--store", str(finished.store), "--check", "--json")
    done = invoke(monkeypatch, "search", *arguments, "--trials", "20", workers=RefusingProcess)
    assert done.exit_code == 0, done.stderr
    planned = json.loads(done.stdout)
    assert (planned["study"], planned["done"], planned["trials"]) == (finished.answer["study"], 14, 20)
    assert planned["rows"] == {"training": 960, "validation": 240, "test": 300}
    assert planned["final"] == {"finalists": 2, "folds": 2}
    assert planned["columns"] == {"number": ["feature1", "feature2"]}
    all_done = invoke(monkeypatch, "search", *arguments, workers=RefusingProcess)
    assert json.loads(all_done.stdout)["seconds"]["trials"] == 0


def test_check_of_images_says_what_the_inputs_are_made_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("--images", "demo", "--image-size", "8", "--epochs", "1", "--store", str(tmp_path), "--check")
    done = invoke(monkeypatch, "search", *arguments, workers=RefusingProcess)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[1] == "Images: pixels, images of 8 x 8; 192 inputs of the network"


def test_check_reports_what_the_search_would(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(monkeypatch, "search", table.name, "king", "--check", workers=RefusingProcess)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: t.csv has no label column 'king'")


def test_estimate_counts_trials_networks_and_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = TrialParams(depth=2, width=16, lr=0.01, batch_size=16)
    seconds = {slow: 10.0}
    monkeypatch.setattr(estimate, "_an_epoch", lambda config, splits, params: seconds.get(params, 1.0))
    splits, final = builtin_splits()[0], FinalSettings(finalists=3, folds=5)
    config = a_config(epochs=3, final=final)
    # A network of the final sees as many rows as a trial, for twice the epochs.
    assert estimated_seconds(config, splits, trials=4, done=0, at_once=1) == Estimate(4 * 3, 15 * 6)
    assert estimated_seconds(config, splits, trials=4, done=2, at_once=2) == Estimate(3, 45)
    assert estimated_seconds(config, splits, trials=40, done=0, at_once=16) == Estimate(
        40 * 3 / 4, 6
    )  # the window is 4
    given = a_config(epochs=3, configs=[slow, slow], final=replace(final, finalists=0))
    assert estimated_seconds(given, splits, trials=4, done=1, at_once=1) == Estimate(30 + 2 * 3, 0)
