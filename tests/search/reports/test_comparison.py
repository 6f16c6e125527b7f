"""The comparison in the search's run: there after every search, for these trials, and for any that there can be."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from insects import mlp
from insects.params import TrialParams
from insects.splits import Splits
from insects.trial import TrialResult
from search.reports import comparison
from search.reports.comparison import COMPARED_TAG, light_results, sample_table, write_comparison
from search.store.study_folder import StudyFolder
from search.tracking.trial_runs import TrialRunLogger
from tests.support.commands import Finished, own
from tests.support.studies import a_config, a_failure, a_result, begun_folder, builtin_splits

PAGES = {"optimization_history.png", "boundary_atlas.png", "slices.png", "parallel_coordinates.png", "contour.png"}
TABLE = {"table/scatter.png", "table/histograms.png", "table/description.txt", "table/description.json"}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def search_artifacts(finished: Finished) -> Path:
    place: Path = finished.store / "artifacts" / finished.answer["study"]
    (table,) = place.glob("*/artifacts/trials.csv")
    return table.parent


def with_weights(result: TrialResult) -> TrialResult:
    """The result with as many weights as its network has."""
    count = mlp.parameter_count(result.params, builtin_splits()[0].shape)
    weights = np.random.default_rng(result.number).standard_normal(count).astype(np.float32)
    return TrialResult(**{**vars(result), "weights": weights})


def a_study(store: Path, results: list[TrialResult]) -> StudyFolder:
    folder = begun_folder(store, a_config())
    for result in results:
        folder.save(with_weights(result) if result.epochs else result)
    return folder


def various(count: int) -> list[TrialResult]:
    generator = np.random.default_rng(0)
    points = [TrialParams(1 + n % 2, 8 + n % 9, float(10 ** generator.uniform(-4, -1)), 16) for n in range(count)]
    return [a_result(number, params, (1.0, 0.1 + 0.01 * number)) for number, params in enumerate(points)]


def compare(folder: StudyFolder, to: Path) -> set[str]:
    write_comparison(to, folder, folder.data(), light_results(folder), None)
    return files(to)


def test_search_leaves_comparison_and_description_in_its_own_run(finished: Finished) -> None:
    place = search_artifacts(finished)
    assert files(place) == {"test_rows.npz", "trials.csv", *PAGES, *TABLE}
    for path in place.rglob("*.png"):
        with Image.open(path) as picture:
            picture.load()
            assert picture.width >= 500


def test_table_of_trials_holds_what_the_command_printed(finished: Finished) -> None:
    with open(search_artifacts(finished) / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 14
    for row, trial in zip(rows, finished.answer["trials"], strict=True):
        assert (int(row["number"]), row["state"]) == (trial["number"], trial["state"])
        assert {key: type(value)(row[key]) for key, value in trial["params"].items()} == trial["params"]
        assert (float(row["valid_loss"]) if trial["valid_loss"] is not None else None) == trial["valid_loss"]
        assert float(row["valid_accuracy"]) == trial["valid_accuracy"]
        assert (int(row["best_epoch"]), int(row["epochs"])) == (trial["best_epoch"], trial["epochs"])


def test_description_is_of_the_rows_that_were_searched_on(finished: Finished) -> None:
    described = json.loads((search_artifacts(finished) / "table" / "description.json").read_text())
    assert described["rows"] == 1200
    assert described["classes"] == {"0": 249, "1": 229, "2": 260, "3": 235, "4": 227}
    splits = builtin_splits()[0]
    raw = np.concatenate([splits.train_x, splits.valid_x]) * splits.std + splits.mean
    np.testing.assert_allclose(described["columns"]["feature1"]["mean"], raw[:, 0].mean(dtype=float), atol=1e-7)


def test_finishing_again_draws_only_what_is_new(untracked: Path, finished: Finished) -> None:
    store = own(untracked)
    projection = TrialRunLogger(store, store.study(finished.answer["study"]))
    projection.compare()
    tag = store.client().get_run(projection.search_run_id).data.tags[COMPARED_TAG]
    spent = dict(projection.seconds)
    assert tag == finished.answer["study_digest"]
    assert min(spent.values()) > 0
    with mock.patch.object(comparison, "write_comparison", side_effect=AssertionError):
        projection.compare()
    assert projection.seconds == spent

    (folder := store.study(finished.answer["study"])).save(with_weights(a_result(14)))
    with mock.patch.object(comparison, "write_table", side_effect=AssertionError):
        projection.compare()
    place = Path(store.client().get_run(projection.search_run_id).info.artifact_uri.removeprefix("file://"))
    assert len((place / "trials.csv").read_text().splitlines()) == 1 + len(folder.numbers()) == 16


def test_seconds_of_the_comparison_are_reported(finished: Finished) -> None:
    assert finished.answer["seconds"]["figures"] > 0


@pytest.mark.parametrize(
    ("results", "pages"),
    [
        ([a_failure(0), a_failure(1)], {"optimization_history.png"}),
        ([a_result(0)], {"optimization_history.png", "boundary_atlas.png"}),
        ([a_result(n, losses=(np.inf,)) for n in range(3)], {"optimization_history.png", "boundary_atlas.png"}),
        (various(2), PAGES - {"contour.png"}),
        (various(9), PAGES),
        (various(12), PAGES | {"importances.png"}),
        ([*various(12), a_failure(12), a_result(13, losses=(np.nan,))], PAGES | {"importances.png"}),
    ],
    ids=["all failed", "one", "all diverged", "two", "nine", "twelve", "mixed"],
)
def test_any_study_is_compared_as_far_as_it_goes(tmp_path: Path, results: list[TrialResult], pages: set[str]) -> None:
    (out := tmp_path / "out").mkdir()
    assert compare(a_study(tmp_path, results), out) == {"trials.csv", *pages}


def test_atlas_of_many_trials_reads_only_the_weights_that_it_draws(tmp_path: Path) -> None:
    folder = a_study(tmp_path, various(130))
    results = light_results(folder)
    assert all(len(result.weights) == 0 for result in results)
    (out := tmp_path / "out").mkdir()
    with mock.patch.object(StudyFolder, "load", autospec=True, side_effect=StudyFolder.load) as load:
        write_comparison(out, folder, folder.data(), results, None)
    assert [call.args[1] for call in load.call_args_list] == list(range(100))


def test_wide_samples_are_cut_and_it_is_said(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config())
    with mock.patch.object(comparison, "_DESCRIBED", 480):
        table = sample_table(folder, folder.data())
    assert len(table.y) == 240
    assert table.source == "built-in insects_train.csv: training and validation rows, 240 of 1,200"
    splits: Splits = builtin_splits()[0]
    np.testing.assert_allclose(table.x[0], splits.train_x[0] * splits.std + splits.mean, rtol=1e-6)


def test_modules_of_the_comparison_do_without_optuna_until_they_are_used() -> None:
    code = "import sys, search.reports.comparison, search.reports.importance, search.tracking.trial_runs; print('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
