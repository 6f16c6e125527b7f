"""The comparison of a study's trials: the files of a search, and of studies of any kind and size."""

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
from search.reports.comparison import sample_table, write_comparison, write_description
from search.store.study_folder import StudyFolder
from tests.support.commands import Finished
from tests.support.image_search import Searched
from tests.support.studies import a_config, a_failure, a_result, begun_folder, builtin_splits

FIGURES = {"optimization_history.png", "boundary_atlas.png", "slices.png", "parallel_coordinates.png", "contour.png"}
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
    return [a_result(number, params, (2.0, 0.1 + 0.01 * number)) for number, params in enumerate(points)]


def compare(folder: StudyFolder, to: Path) -> set[str]:
    write_comparison(to, folder, folder.results_without_weights(), None)
    return files(to)


def test_run_of_the_search_has_the_comparison_and_the_description(finished: Finished) -> None:
    place = search_artifacts(finished)
    assert files(place) == {
        "test_rows.npz",
        "trained_on.npy",
        "trials.csv",
        "final.csv",
        "report.html",
        *FIGURES,
        *TABLE,
    }
    for path in place.rglob("*.png"):
        with Image.open(path) as picture:
            picture.load()
            assert picture.width >= 500


def test_table_of_trials_equals_the_output_of_the_command(finished: Finished) -> None:
    with open(search_artifacts(finished) / "trials.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 14
    for row, trial in zip(rows, finished.answer["trials"], strict=True):
        assert (int(row["number"]), row["state"]) == (trial["number"], trial["state"])
        assert {key: type(value)(row[key]) for key, value in trial["params"].items()} == trial["params"]
        assert (float(row["valid_loss"]) if trial["valid_loss"] is not None else None) == trial["valid_loss"]
        assert float(row["valid_accuracy"]) == trial["valid_accuracy"]
        assert (int(row["best_epoch"]), int(row["epochs"])) == (trial["best_epoch"], trial["epochs"])


def test_table_of_finalists_equals_the_output_of_the_command(finished: Finished) -> None:
    with open(search_artifacts(finished) / "final.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, finalist in zip(rows, finished.answer["final"]["finalists"], strict=True):
        assert int(row["number"]) == finalist["number"]
        assert {key: type(value)(row[key]) for key, value in finalist["params"].items()} == finalist["params"]
        assert float(row["out_of_fold_loss"]) == finalist["loss"]
        assert float(row["out_of_fold_accuracy"]) == finalist["accuracy"]


def test_description_is_that_of_the_training_and_validation_rows(finished: Finished) -> None:
    described = json.loads((search_artifacts(finished) / "table" / "description.json").read_text())
    assert described["rows"] == 1200
    assert described["classes"] == {"0": 249, "1": 229, "2": 260, "3": 235, "4": 227}
    splits = builtin_splits()[0]
    raw = np.concatenate([splits.train_x, splits.valid_x]) * splits.encoder.std + splits.encoder.mean
    np.testing.assert_allclose(described["columns"]["feature1"]["mean"], raw[:, 0].mean(dtype=float), atol=1e-7)


def test_seconds_of_the_comparison_are_reported(finished: Finished) -> None:
    assert finished.answer["seconds"]["figures"] > 0


@pytest.mark.parametrize(
    ("results", "figures"),
    [
        ([a_failure(0), a_failure(1)], {"optimization_history.png"}),
        ([a_result(0)], {"optimization_history.png", "boundary_atlas.png"}),
        ([a_result(n, losses=(np.inf,)) for n in range(3)], {"optimization_history.png", "boundary_atlas.png"}),
        (various(2), FIGURES - {"contour.png"}),
        (various(9), FIGURES),
        (various(12), FIGURES | {"importances.png"}),
        ([*various(12), a_failure(12), a_result(13, losses=(np.nan,))], FIGURES | {"importances.png"}),
    ],
    ids=["all failed", "one", "all diverged", "two", "nine", "twelve", "mixed"],
)
def test_each_figure_is_drawn_if_there_are_enough_trials(
    tmp_path: Path, results: list[TrialResult], figures: set[str]
) -> None:
    (out := tmp_path / "out").mkdir()
    assert compare(a_study(tmp_path, results), out) == {"trials.csv", *figures}


MODEL = {"model_loss_curves.svg", "model_decision_boundary.svg"}


def test_svg_is_beside_each_figure_and_the_models_are_there_too(tmp_path: Path) -> None:
    folder = a_study(tmp_path, various(12))
    (out := tmp_path / "out").mkdir()
    write_comparison(out, folder, folder.results_without_weights(), None, "svg")
    figures = FIGURES | {"importances.png"}
    assert files(out) == {"trials.csv", *figures, *(name.replace(".png", ".svg") for name in figures), *MODEL}
    assert "trial 0: depth 1, width 8, " in (out / "model_loss_curves.svg").read_text()
    best, splits = folder.load(0), builtin_splits()[0]
    assert best is not None
    logits_VC = mlp.logits(best.weights, best.params, splits.shape, splits.valid_x)
    wrong = (logits_VC.argmax(axis=1) != splits.valid_y).sum()
    assert f"{wrong} of 240 validation rows wrong" in (out / "model_decision_boundary.svg").read_text()
    write_description(out, folder, "svg")
    assert {name.replace(".png", ".svg") for name in TABLE} <= files(out)


def test_model_of_a_final_is_drawn_by_the_mean_of_its_networks(finished: Finished, tmp_path: Path) -> None:
    write_comparison(tmp_path, finished.folder, finished.folder.results_without_weights(), None, "svg")
    chosen = finished.answer["final"]["chosen"]
    boundary = (tmp_path / "model_decision_boundary.svg").read_text()
    assert f"finalist {chosen}: depth" in boundary
    assert "trained on the validation rows too" in boundary
    assert ">fold 1</text>" in (tmp_path / "model_loss_curves.svg").read_text()


def test_atlas_reads_only_the_weights_of_the_trials_that_it_draws(tmp_path: Path) -> None:
    folder = a_study(tmp_path, various(130))
    results = folder.results_without_weights()
    (out := tmp_path / "out").mkdir()
    with mock.patch.object(StudyFolder, "load", autospec=True, side_effect=StudyFolder.load) as load:
        write_comparison(out, folder, results, None)
    assert [call.args[1] for call in load.call_args_list] == list(range(100))


def test_description_of_a_large_table_is_that_of_its_first_rows(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config())
    with mock.patch.object(comparison, "_DESCRIBED", 480):
        table = sample_table(folder, folder.data())
    assert len(table.y) == 240
    assert table.source == "built-in insects_train.csv: training and validation rows, 240 of 1,200"
    splits: Splits = builtin_splits()[0]
    np.testing.assert_allclose(table.x[0], splits.train_x[0] * splits.encoder.std + splits.encoder.mean, rtol=1e-6)


def test_description_of_images_is_that_of_the_study(searched: Searched, tmp_path: Path) -> None:
    manifest = searched.folder.images()
    assert manifest is not None
    write_description(tmp_path, searched.folder)
    assert files(tmp_path) == {"images/description.txt", "images/description.json"}
    assert (tmp_path / "images" / "description.txt").read_text() == manifest.description["text"] + "\n"
    assert json.loads((tmp_path / "images" / "description.json").read_text()) == manifest.description["content"]


def test_comparison_is_imported_without_optuna() -> None:
    code = """
import sys, search.reports.comparison, search.reports.importance
print("optuna" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"
