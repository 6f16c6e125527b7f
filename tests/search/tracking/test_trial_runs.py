"""The runs of a study's trials in MLflow: their content, and that each is written once."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from insects.errors import StoreError
from insects.mlp import parameter_count
from insects.plots import TrialFigures
from insects.training import METRICS
from search.tracking import run_values
from search.tracking.run_content import TRIAL, trial_content
from search.tracking.trial_runs import TrialRunLogger
from tests.support.commands import Finished, contents, own
from tests.support.registered_studies import logger_of, study_of
from tests.support.studies import PARAMS, a_config, a_result, begun_folder, builtin_splits

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


@pytest.fixture(scope="module")
def tracked(finished: Finished) -> dict[str, Any]:
    """What the installed command has uploaded to MLflow."""
    return finished.tracked


@pytest.fixture
def logger(untracked: Path, finished: Finished) -> TrialRunLogger:
    """The finished study's logger, with an MLflow that holds nothing yet."""
    return logger_of(own(untracked), finished.answer["study"])


def trial_runs(tracked: dict[str, Any]) -> dict[int, Any]:
    return {int(name[6:]): runs[0] for name, runs in tracked["runs"].items() if name.startswith("trial-")}


def test_study_has_every_kind_of_end(finished: Finished) -> None:
    assert {trial["state"] for trial in finished.answer["trials"]} == {"complete", "pruned", "failed"}


def test_each_trial_is_one_run_under_the_searchs_run(tracked: dict[str, Any], finished: Finished) -> None:
    study = finished.answer["study"]
    finals = sorted(f"final-{finalist['number']:04d}" for finalist in finished.answer["final"]["finalists"])
    assert list(tracked["runs"]) == [*finals, f"search {study}", *(f"trial-{number:04d}" for number in range(14))]
    assert all(len(runs) == 1 for runs in tracked["runs"].values())
    assert {run["parent"] for run in trial_runs(tracked).values()} == {f"search {study}"}
    assert tracked["runs"][f"search {study}"][0]["parent"] is None


def test_each_finalist_is_one_run_with_a_curve_for_each_fold(tracked: dict[str, Any], finished: Finished) -> None:
    for entry in finished.answer["final"]["finalists"]:
        (run,) = tracked["runs"][f"final-{entry['number']:04d}"]
        finalist = finished.folder.load_finalist(entry["number"], 2)
        assert finalist is not None
        assert (run["parent"], run["status"]) == (f"search {finished.answer['study']}", "FINISHED")
        assert (run["params"]["folds"], run["params"]["epochs"]) == ("2", "6")
        for fold in finalist.folds:
            points = sorted(run["metrics"][f"valid_loss_fold_{fold.fold}"])
            assert [(step, float(value)) for step, value, _ in points] == [
                (epoch, loss) for epoch, loss in enumerate(fold.trial.valid_losses.tolist(), start=1)
            ]
        for name in ("loss", "accuracy"):
            ((_, value, _),) = run["metrics"][f"out_of_fold_{name}"]
            assert float(value) == entry[name]
        assert {"loss_curves.png", "decision_boundary.png", "fold-0.npz", "fold-1.npz"} <= set(run["artifacts"])


def test_status_says_how_a_trial_ended_and_no_run_is_left_running(tracked: dict[str, Any], finished: Finished) -> None:
    found = {number: run["status"] for number, run in trial_runs(tracked).items()}
    assert found == {trial["number"]: STATUS[trial["state"]] for trial in finished.answer["trials"]}
    assert tracked["runs"][f"search {finished.answer['study']}"][0]["status"] == "FINISHED"


def test_params_are_those_of_the_trial(tracked: dict[str, Any], finished: Finished) -> None:
    runs = trial_runs(tracked)
    for trial in finished.answer["trials"]:
        result = finished.folder.load(trial["number"])
        assert result is not None
        assert runs[trial["number"]]["params"] == {
            "depth": str(result.params.depth),
            "width": str(result.params.width),
            "lr": str(result.params.lr),
            "batch_size": str(result.params.batch_size),
            "seed": "0",
            "parameters": str(parameter_count(result.params, builtin_splits()[0].shape)),
            "device": "cpu",
            "engine": "compiled",
        }
        assert trial["params"] == vars(result.params)


def test_metrics_of_every_epoch_are_logged_once(tracked: dict[str, Any], finished: Finished) -> None:
    runs = trial_runs(tracked)
    for number, run in runs.items():
        result = finished.folder.load(number)
        assert result is not None
        for column, key in enumerate(METRICS if result.epochs else ()):
            steps, values, times = zip(*sorted(run["metrics"][key]), strict=True)
            assert steps == tuple(range(1, result.epochs + 1))
            expected = result.history[:, column]
            finite = np.isfinite(expected)
            assert np.array(values)[finite].tolist() == [repr(value) for value in expected[finite].tolist()]
            assert list(times) == sorted(times)
            assert result.started * 1000 - 1 <= times[0] <= times[-1] <= (result.started + result.seconds) * 1000
        *earlier, (step, best_epoch, _) = sorted(run["metrics"]["best_epoch"])
        assert (step, float(best_epoch)) == (result.best_epoch, result.best_epoch)
        assert [float(value) for _, value, _ in earlier] == [step for step, _, _ in earlier]
        if result.best_epoch:
            *before, last = [float(value) for _, value, _ in sorted(run["metrics"]["best_valid_loss"])]
            assert last == result.valid_loss
            assert before == sorted(before, reverse=True)
            assert max(run["metrics"]["best_valid_accuracy"])[1] == repr(result.valid_accuracy)


def test_values_that_are_not_finite_are_tags_too(tracked: dict[str, Any]) -> None:
    runs = trial_runs(tracked)
    assert "best_valid_loss inf" in runs[1]["tags"]["not_finite"]
    assert runs[1]["tags"]["reason"].startswith("diverged: the loss was not finite in epoch")
    assert "not_finite" not in runs[0]["tags"]


def test_reasons_are_tags(tracked: dict[str, Any], finished: Finished) -> None:
    runs = trial_runs(tracked)
    assert runs[2]["tags"]["reason"].startswith("Traceback (most recent call last):")
    pruned = [trial["number"] for trial in finished.answer["trials"] if trial["state"] == "pruned"]
    assert all(runs[number]["tags"]["reason"].startswith("pruned: ") for number in pruned)
    assert "reason" not in runs[0]["tags"]


def test_artifacts_are_both_figures_and_the_weights(tracked: dict[str, Any], finished: Finished) -> None:
    for number, run in trial_runs(tracked).items():
        trained = number != 2
        expected = {"loss_curves.png", "decision_boundary.png", "trial.npz"} if trained else {"traceback.txt"}
        assert set(run["artifacts"]) == expected
    place = finished.store / "artifacts" / finished.answer["study"]
    weights = {path.read_bytes() for path in place.glob("*/artifacts/trial.npz")}
    assert weights == {finished.folder.file(number).read_bytes() for number in range(14) if number != 2}
    pictures = [path for path in place.glob("*/artifacts/*.png") if (path.parent / "trial.npz").exists()]
    assert len(pictures) == 26
    for path in pictures:
        with Image.open(io.BytesIO(path.read_bytes())) as picture:
            picture.load()
            assert min(picture.size) >= 300
            greys = np.asarray(picture.convert("L"))
            assert greys.min() < 100 < 200 < greys.max()


def test_search_run_names_the_data_with_its_digest_and_the_settings(
    tracked: dict[str, Any], finished: Finished
) -> None:
    run = tracked["runs"][f"search {finished.answer['study']}"][0]
    ((name, digest, tags),) = run["datasets"]
    assert name == "built-in insects_train.csv"
    assert builtin_splits()[0].digest.startswith(digest)
    assert len(digest) >= 32
    assert tags == [("mlflow.data.context", "training")]
    assert run["params"]["epochs"] == "3"
    assert run["params"]["window"] == "4"
    assert "test_rows.npz" in run["artifacts"]


def test_search_run_shows_the_best_complete_trial(tracked: dict[str, Any], finished: Finished) -> None:
    metrics = tracked["runs"][f"search {finished.answer['study']}"][0]["metrics"]
    assert [value for _, value, _ in metrics["best_valid_loss"]] == [repr(finished.answer["best"]["valid_loss"])]


def test_no_file_of_the_store_is_a_pickle(finished: Finished) -> None:
    import zipfile

    for path in (path for path in finished.store.rglob("*") if path.is_file()):
        assert path.suffix not in {".pkl", ".pickle", ".pth", ".pt", ".joblib"}
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                assert not [name for name in archive.namelist() if name.endswith((".pkl", ".pickle"))]


def test_logging_twice_writes_nothing_twice(logger: TrialRunLogger, untracked: Path, finished: Finished) -> None:
    study = finished.answer["study"]
    logger.log_missing()
    logger.compare()
    logger.finish("FINISHED")
    once = contents(untracked, study)
    assert once["runs"].keys() == finished.tracked["runs"].keys()
    again = logger_of(own(untracked), study)
    again.log_missing()
    again.compare()
    again.finish("FINISHED")
    assert contents(untracked, study) == once
    assert [again.log(number, 0) for number in range(14)] == [logger.log(number, 0) for number in range(14)]


def test_half_written_run_is_completed(logger: TrialRunLogger, untracked: Path, finished: Finished) -> None:
    study = finished.answer["study"]
    first, second = finished.folder.load(0), finished.folder.load(1)
    assert first is not None
    assert second is not None
    shape = builtin_splits()[0].shape
    bare, some = (
        logger._create(TRIAL, result.number, trial_content(result, finished.folder, shape, Mock()))
        for result in (first, second)
    )
    metrics = run_values.best_metrics(second, run_values.ended(second), second.best_epoch)
    logger._client.log_batch(some.run_id, metrics=metrics)
    restarted = logger_of(own(untracked), study)
    assert [restarted.log(number, 0).model for number in (0, 1)] == [bare.run_id, some.run_id]
    runs = contents(untracked, study)["runs"]
    for name in ("trial-0000", "trial-0001"):
        assert runs[name] == finished.tracked["runs"][name]


def test_histories_longer_than_a_batch_are_written_in_full(store: Path) -> None:
    folder = begun_folder(store, a_config(epochs=600))
    weights = np.zeros(parameter_count(PARAMS, builtin_splits()[0].shape), np.float32)
    result = replace(a_result(0, losses=np.linspace(2, 1, 600).tolist()), weights=weights)
    folder.save(result)
    logger_of(own(store), folder.name).log(0)
    metrics = contents(store, folder.name)["runs"]["trial-0000"][0]["metrics"]
    for column, key in enumerate(METRICS):
        expected = result.history[:, column].tolist()
        assert [value for _, value, _ in sorted(metrics[key])] == [repr(value) for value in expected]
    assert max(metrics["best_valid_loss"])[:2] == (600, "1.0")
    assert len(metrics["best_valid_loss"]) == 21


def test_damaged_result_is_one_line_and_leaves_no_run(store: Path) -> None:
    folder = study_of(store, "s", seed=0)
    folder.file(0).write_bytes(b"damaged")
    with pytest.raises(StoreError) as caught:
        logger_of(own(store), "s").log(0)
    assert str(caught.value) == (
        "the result of trial 0 of study s was damaged and is set aside: run the same search again, which trains it "
        "again"
    )
    assert list(contents(store, "s")["runs"]) == ["search s"]


def test_errors_of_files_and_figures_are_not_taken_for_mlflows(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_of(store, "s", seed=0)
    logger, result = logger_of(own(store), "s"), folder.load(0)
    folder.file(0).unlink()
    monkeypatch.setattr(logger._folder, "load", lambda number: result)  # the file vanishes after it was read
    with pytest.raises(FileNotFoundError, match=r"0000\.npz"):
        logger.log(0)

    def no_font(*_: object) -> bytes:
        raise OSError("cannot open the font")

    monkeypatch.setattr(TrialFigures, "loss_curves", no_font)
    with pytest.raises(OSError, match=r"^cannot open the font$"):
        logger.log(0)
    assert list(contents(store, "s")["runs"]) == ["search s"]
