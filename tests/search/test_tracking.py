"""Trial results in MLflow: what the contract promises is there, once, whatever happened on the way."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from insects.errors import StoreError
from insects.mlp import parameter_count
from insects.training import METRICS
from search import courier, entries
from search.courier import Courier
from search.lock import hold
from search.store import Store
from search.tracking import Projection
from tests.search.commands import Finished, contents, invoke, own
from tests.search.studies import builtin_splits

STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


@pytest.fixture(scope="module")
def tracked(finished: Finished) -> dict[str, Any]:
    """What the installed command has brought to MLflow."""
    return finished.tracked


@pytest.fixture
def projection(untracked: Path, finished: Finished) -> Projection:
    store = own(untracked)
    return Projection(store, store.study(finished.answer["study"]))


def trial_runs(tracked: dict[str, Any]) -> dict[int, Any]:
    return {int(name[6:]): runs[0] for name, runs in tracked["runs"].items() if name.startswith("trial-")}


def test_study_has_every_kind_of_end(finished: Finished) -> None:
    assert {trial["state"] for trial in finished.answer["trials"]} == {"complete", "pruned", "failed"}


def test_each_trial_is_one_run_under_the_searchs_run(tracked: dict[str, Any], finished: Finished) -> None:
    study = finished.answer["study"]
    assert list(tracked["runs"]) == [f"search {study}", *(f"trial-{number:04d}" for number in range(14))]
    assert all(len(runs) == 1 for runs in tracked["runs"].values())
    assert {run["parent"] for run in trial_runs(tracked).values()} == {f"search {study}"}
    assert tracked["runs"][f"search {study}"][0]["parent"] is None


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


def test_metrics_of_every_epoch_are_there_once_with_their_values(tracked: dict[str, Any], finished: Finished) -> None:
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
        ((step, best_epoch, _),) = run["metrics"]["best_epoch"]
        assert (step, float(best_epoch)) == (result.best_epoch, result.best_epoch)
        if result.best_epoch:
            assert run["metrics"]["best_valid_loss"][0][1] == repr(result.valid_loss)
            assert run["metrics"]["best_valid_accuracy"][0][1] == repr(result.valid_accuracy)


def test_infinite_values_are_tagged_as_what_they_are(tracked: dict[str, Any]) -> None:
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
    assert "held_out.npz" in run["artifacts"]


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


def test_delivering_twice_makes_nothing_twice(projection: Projection, untracked: Path, finished: Finished) -> None:
    study = finished.answer["study"]
    projection.deliver_missing()
    projection.compare()
    projection.finish("FINISHED")
    once = contents(untracked, study)
    again = Projection(own(untracked), own(untracked).study(study))
    again.deliver_missing()
    again.compare()
    again.finish("FINISHED")
    assert contents(untracked, study) == once
    assert again.search_run_id == projection.search_run_id


def test_half_written_run_is_completed(
    projection: Projection, untracked: Path, finished: Finished, tracked: dict[str, Any]
) -> None:
    study = finished.answer["study"]
    first, second = finished.folder.load(0), finished.folder.load(1)
    assert first is not None
    assert second is not None
    bare = projection._create_run(first).run_id
    some = projection._create_run(second).run_id
    projection._client.log_batch(some, metrics=entries.best_metrics(second, entries.ended(second), second.best_epoch))
    restarted = Projection(own(untracked), own(untracked).study(study))
    assert (restarted.deliver(0), restarted.deliver(1)) == (bare, some)
    runs = contents(untracked, study)["runs"]
    for name in ("trial-0000", "trial-0001"):
        assert runs[name] == tracked["runs"][name]


def test_deleted_mlflow_is_rebuilt_in_full_by_sync(
    untracked: Path, finished: Finished, tracked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = invoke(monkeypatch, "search", "--sync", "--store", str(untracked))
    assert (done.exit_code, done.stdout) == (0, f"Study {finished.answer['study']}: all is in MLflow\n")
    assert contents(untracked, finished.answer["study"]) == tracked
    again = invoke(monkeypatch, "search", "--sync", "--store", str(untracked), "--json")
    assert again.exit_code == 0
    assert contents(untracked, finished.answer["study"]) == tracked


def test_experiment_that_was_deleted_in_mlflow_comes_back(
    projection: Projection, untracked: Path, finished: Finished
) -> None:
    projection.deliver(0)
    projection._client.delete_experiment(projection.experiment_id)
    again = Projection(own(untracked), own(untracked).study(finished.answer["study"]))
    assert again.experiment_id == projection.experiment_id
    assert contents(untracked, finished.answer["study"])["runs"]["trial-0000"]


@pytest.mark.parametrize("change", ["seed", "tag"])
def test_experiment_that_is_not_this_studys_is_left_alone(
    change: str, projection: Projection, untracked: Path, finished: Finished
) -> None:
    """Two stores with one server, a study of the user's own in MLflow, results that were deleted."""
    study = own(untracked).study(finished.answer["study"])
    projection.deliver(0)
    before = contents(untracked, study.name)
    if change == "seed":
        description = json.loads((study.path / "study.json").read_text())
        description["identity"]["seed"] = 7
        (study.path / "study.json").write_text(json.dumps(description))
    else:
        projection._client.delete_experiment_tag(projection.experiment_id, "insects.identity")
    with pytest.raises(StoreError, match=rf"experiment {study.name} at sqlite:.* or search with another --study"):
        Projection(own(untracked), study)
    assert contents(untracked, study.name) == before


def test_lost_answer_after_a_run_was_created_makes_no_second_run(
    projection: Projection, untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = projection._create_run

    def lost(result: Any) -> str:
        create(result)
        raise ConnectionError("the answer was lost")

    monkeypatch.setattr(projection, "_create_run", lost)
    with pytest.raises(StoreError, match="does not answer as it should: the answer was lost"):
        projection.deliver(0)
    monkeypatch.undo()
    projection.deliver(0)
    assert len(contents(untracked, finished.answer["study"])["runs"]["trial-0000"]) == 1


def test_histories_longer_than_a_batch_are_delivered_whole(store: Path) -> None:
    from tests.search.studies import PARAMS, a_plan, a_result, begun_folder

    folder = begun_folder(store, a_plan(epochs=600))
    result = a_result(0, losses=np.linspace(2, 1, 600).tolist())
    weights = np.zeros(parameter_count(PARAMS, builtin_splits()[0].shape), np.float32)
    folder.save(type(result)(**{**vars(result), "weights": weights}))
    Projection(own(store), folder).deliver(0)
    metrics = contents(store, folder.name)["runs"]["trial-0000"][0]["metrics"]
    for column, key in enumerate(METRICS):
        expected = result.history[:, column].tolist()
        assert [value for _, value, _ in sorted(metrics[key])] == [repr(value) for value in expected]
    assert metrics["best_valid_loss"][0][:2] == (600, "1.0")


def test_courier_without_the_studys_lock_delivers_nothing(
    untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier, "LOCK_SECONDS", 0.0)
    monkeypatch.setattr("search.store._ATTEMPTS", 1)
    store = own(untracked)
    study = finished.answer["study"]
    late = Courier()
    with hold(store.study(study).path / "delivery.lock"):
        with pytest.raises(StoreError, match="is held by process"):
            late.open(str(untracked), store.tracking_uri, study)
        with pytest.raises(StoreError, match=r"process \d+ on .* is bringing study"):
            late.deliver_all()
    assert store.client().get_experiment_by_name(study) is None
    late.deliver(0)  # the lock is free by now
    late.close()
    assert list(contents(untracked, study)["runs"]) == [f"search {study}", "trial-0000"]


def test_mlflow_that_is_broken_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match=r"MLflow at sqlite:.*mlflow\.db does not answer as it should: ") as caught:
        own(tmp_path).client().search_experiments()
    assert "\n" not in str(caught.value)


def test_database_without_its_driver_is_one_line(tmp_path: Path) -> None:
    uri = "mysql+cymysql://127.0.0.1:1/x"
    with pytest.raises(StoreError, match=r"does not answer as it should: No module named 'cymysql'$"):
        Store.at(tmp_path, uri).client()
