"""`run_search` is `insects-search`: the same study, defaults and checks, for files and data frames."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import search
from insects.errors import DataError, InsectsError, StoreError, StudyError
from insects.trial import TrialResult
from search import run_search
from search.api import SearchResult, functions
from search.cli.keywords import ArgumentError
from search.upload import uploader
from tests.support.commands import Finished, InlineProcess, RefusingProcess

SMALL: dict[str, Any] = {"trials": 3, "epochs": 2, "width": (4, 8), "depth": 1, "finalists": 1, "folds": 2}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches in this process find no MLflow."""
    monkeypatch.setattr(uploader, "WorkerProcess", RefusingProcess)


def flowers(rows: int = 120) -> pd.DataFrame:
    """A table with numbers, gaps, a category, and classes that follow from them."""
    generator = np.random.default_rng(0)
    kind = np.arange(rows) % 3
    frame = pd.DataFrame(
        {
            "length": (kind + generator.normal(0, 0.3, rows)).round(3),
            "colour, dried": np.array(["red", "blue", "white"])[kind],
            "species": np.array(["a", "b", "c"])[kind],
        }
    )
    frame.loc[::10, "length"] = np.nan
    return frame


def test_search_goes_on_with_the_study_of_the_command(finished: Finished) -> None:
    result = run_search(
        trials=14,
        epochs=3,
        width=(8, 16),
        depth="1:2",
        finalists=2,
        folds=2,
        window=4,
        pruner="percentile:30",
        configs=finished.arguments[-1],
        store=finished.store,
    )
    answer = finished.answer
    assert (result.study, result.best, result.final) == (answer["study"], answer["best"], answer["final"])
    assert result.expected_accuracy == answer["final"]["expected_accuracy"]
    assert repr(result) == f"<study {answer['study']}: 14 trials, expected accuracy {result.expected_accuracy:.4f}>"
    assert result.trials.columns.tolist() == [
        "number", "state", "depth", "width", "lr", "batch_size", "loss", "accuracy", "epochs", "best_epoch", "seconds",
    ]  # fmt: skip
    for row, trial in zip(result.trials.to_dict("records"), answer["trials"], strict=True):
        assert {key: row[key] for key in ("number", "state", "epochs")} == {
            key: trial[key] for key in ("number", "state", "epochs")
        }
        assert {key: row[key] for key in trial["params"]} == trial["params"]
        assert row["accuracy"] == trial["valid_accuracy"]
        assert row["loss"] == trial["valid_loss"] or (math.isnan(row["loss"]) and trial["valid_loss"] is None)
    model = result.model
    assert (model.name, model.version) == (answer["model"]["name"], answer["model"]["version"])
    assert result.model is model


def test_data_frame_is_searched_as_its_file_is(tmp_path: Path, offline: None) -> None:
    frame = flowers()
    frame.to_csv(tmp_path / "flowers.csv", index=False)
    results = [
        run_search(table, target="species", store=tmp_path / name, **SMALL)
        for name, table in (("file", str(tmp_path / "flowers.csv")), ("frame", frame), ("category", dressed(frame)))
    ]
    digests = {result._outcome.digest for result in results}
    assert len(digests) == 1
    assert [result.study.partition("-")[0] for result in results] == ["flowers", "frame", "frame"]
    assert results[0].trials.drop(columns="seconds").equals(results[1].trials.drop(columns="seconds"))
    assert results[0].upload_error is not None
    with pytest.raises(StudyError, match="has no model: MLflow was asked"):
        _ = results[0].model


def dressed(frame: pd.DataFrame) -> pd.DataFrame:
    """The same cells in pandas' own types, under another index."""
    frame = frame.astype({"colour, dried": "category", "species": "category", "length": "Float64"})
    return frame.set_index(np.arange(len(frame))[::-1] + 7)


def test_test_rows_may_be_a_data_frame(tmp_path: Path, offline: None) -> None:
    frame = flowers()
    result = run_search(frame, test=frame.head(9), target="species", store=tmp_path, **SMALL)
    whole = run_search(frame, target="species", store=tmp_path, **SMALL)
    assert result.study != whole.study
    with pytest.raises(ArgumentError, match="test_fraction holds rows of the table out, and test gives them"):
        run_search(frame, test=frame.head(9), test_fraction=0.2, target="species", store=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "Invalid value for 'trials': 0 is not in the range x>=1."),
        ({"trials": 2.5}, "Invalid value for 'trials': '2.5' is not a valid integer range."),
        ({"depth": (3, 1)}, "Invalid value for 'depth': '3:1' must have 0 <= LO <= HI <= 1000"),
        ({"batch_size": [8, 8]}, "Invalid value for 'batch_size': '8,8' must hold distinct numbers of at least 1"),
        ({"pruner": "often"}, "Invalid value for 'pruner': 'often' is not none, median or percentile:P with 0 < P"),
        ({"features": ["a"]}, "features is about your own table: add train."),
        ({"image_dir": "photos"}, "image_dir is about images: add images."),
        ({"finalists": 0, "folds": 3}, "folds is about the final, and finalists 0 is without one: leave one out."),
    ],
    ids=str,
)
def test_arguments_are_checked_as_options_are(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        run_search(store=tmp_path / "store", **options)
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, InsectsError)
    assert isinstance(caught.value, ValueError)
    assert not (tmp_path / "store").exists()


def test_column_names_may_hold_commas(tmp_path: Path, offline: None) -> None:
    frame = flowers()
    result = run_search(frame, target="species", features=["colour, dried"], store=tmp_path, **SMALL)
    assert result._outcome.best is not None
    with pytest.raises(DataError, match="has no dropped column 'colour'"):
        run_search(frame, target="species", drop=["colour"], store=tmp_path, **SMALL)


@pytest.mark.parametrize("name", ["trails", "sync", "as_json", "json", "version"])
def test_unknown_argument_is_refused(name: str) -> None:
    advice = r"\. Did you mean 'trials'\?" if name == "trails" else ""
    with pytest.raises(TypeError, match=rf"run_search\(\) got an unexpected keyword argument '{name}'{advice}"):
        run_search(**{name: 1})  # type: ignore[arg-type] # the name is none of its parameters


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a pandas DataFrame with named columns, found ndarray"):
        run_search(np.zeros((2, 2)), store=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="the data frame has a header but no rows"):
        run_search(flowers().head(0), target="species", store=tmp_path)
    with pytest.raises(StoreError, match=r"neither % nor \?, found .*: choose another store"):
        run_search(store=tmp_path / "a%20b")


class Stopper:
    """Presses Ctrl-C once, after the third trial, and notes the trials that are known already."""

    def __init__(self) -> None:
        self.known_trials: list[int] = []
        self._has_stopped = False

    def trained(self, result: TrialResult) -> None:
        if result.number == 2 and not self._has_stopped:
            self._has_stopped = True
            os.kill(os.getpid(), signal.SIGINT)

    def known(self, result: TrialResult) -> None:
        self.known_trials.append(result.number)


def test_interrupt_keeps_what_is_finished_and_the_process(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopper, before = Stopper(), signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(uploader, "WorkerProcess", InlineProcess)
    monkeypatch.setattr(functions, "notebook_progress", lambda *_: nullcontext((stopper,)))

    def run() -> SearchResult:
        return run_search(store=store, trials=6, epochs=2, width=8, depth=1, finalists=0, workers=1)

    with pytest.raises(KeyboardInterrupt, match="finished trials are kept: the same call goes on from there"):
        run()
    assert stopper.known_trials == []
    assert len(run().trials) == 6
    assert stopper.known_trials[:3] == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is before


def test_search_runs_outside_the_main_thread(tmp_path: Path, offline: None) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    results: list[SearchResult] = []
    thread = threading.Thread(target=lambda: results.append(run_search(store=tmp_path, **SMALL)))
    thread.start()
    thread.join()
    assert len(results[0].trials) == 3
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = "import sys, search; print(sorted({'click', 'numpy', 'torch', 'pandas', 'mlflow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert {"load_best", "run_search"} == set(search.__all__)
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        search.missing  # noqa: B018
