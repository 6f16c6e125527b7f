"""Delivering to MLflow again, in part, without an answer: nothing is lost and nothing is there twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insects.errors import StoreError
from insects.mlp import parameter_count
from insects.training import METRICS
from search.store.store import Store
from search.system.lock import hold
from search.tracking import run_values
from search.tracking.trial_runs import TrialRunLogger
from search.upload import runs_worker
from search.upload.runs_worker import Courier
from tests.support.commands import Finished, contents, invoke, own
from tests.support.studies import builtin_splits


@pytest.fixture
def projection(untracked: Path, finished: Finished) -> TrialRunLogger:
    store = own(untracked)
    return TrialRunLogger(store, store.study(finished.answer["study"]))


def test_delivering_twice_makes_nothing_twice(projection: TrialRunLogger, untracked: Path, finished: Finished) -> None:
    study = finished.answer["study"]
    projection.deliver_missing()
    projection.compare()
    projection.finish("FINISHED")
    once = contents(untracked, study)
    again = TrialRunLogger(own(untracked), own(untracked).study(study))
    again.deliver_missing()
    again.compare()
    again.finish("FINISHED")
    assert contents(untracked, study) == once
    assert again.search_run_id == projection.search_run_id


def test_half_written_run_is_completed(projection: TrialRunLogger, untracked: Path, finished: Finished) -> None:
    study = finished.answer["study"]
    first, second = finished.folder.load(0), finished.folder.load(1)
    assert first is not None
    assert second is not None
    bare = projection._create_run(first).run_id
    some = projection._create_run(second).run_id
    projection._client.log_batch(
        some, metrics=run_values.best_metrics(second, run_values.ended(second), second.best_epoch)
    )
    restarted = TrialRunLogger(own(untracked), own(untracked).study(study))
    assert (restarted.deliver(0), restarted.deliver(1)) == (bare, some)
    runs = contents(untracked, study)["runs"]
    for name in ("trial-0000", "trial-0001"):
        assert runs[name] == finished.tracked["runs"][name]


def test_deleted_mlflow_is_rebuilt_in_full_by_sync(
    untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = invoke(monkeypatch, "search", "--sync", "--store", str(untracked))
    assert (done.exit_code, done.stdout) == (0, f"Study {finished.answer['study']}: all is in MLflow\n")
    assert contents(untracked, finished.answer["study"]) == finished.tracked
    again = invoke(monkeypatch, "search", "--sync", "--store", str(untracked), "--json")
    assert again.exit_code == 0
    assert contents(untracked, finished.answer["study"]) == finished.tracked


def test_experiment_that_was_deleted_in_mlflow_comes_back(
    projection: TrialRunLogger, untracked: Path, finished: Finished
) -> None:
    projection.deliver(0)
    projection._client.delete_experiment(projection.experiment_id)
    again = TrialRunLogger(own(untracked), own(untracked).study(finished.answer["study"]))
    assert again.experiment_id == projection.experiment_id
    assert contents(untracked, finished.answer["study"])["runs"]["trial-0000"]


@pytest.mark.parametrize("change", ["seed", "tag"])
def test_experiment_that_is_not_this_studys_is_left_alone(
    change: str, projection: TrialRunLogger, untracked: Path, finished: Finished
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
        TrialRunLogger(own(untracked), study)
    assert contents(untracked, study.name) == before


def test_lost_answer_after_a_run_was_created_makes_no_second_run(
    projection: TrialRunLogger, untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
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
    from tests.support.studies import PARAMS, a_config, a_result, begun_folder

    folder = begun_folder(store, a_config(epochs=600))
    result = a_result(0, losses=np.linspace(2, 1, 600).tolist())
    weights = np.zeros(parameter_count(PARAMS, builtin_splits()[0].shape), np.float32)
    folder.save(type(result)(**{**vars(result), "weights": weights}))
    TrialRunLogger(own(store), folder).deliver(0)
    metrics = contents(store, folder.name)["runs"]["trial-0000"][0]["metrics"]
    for column, key in enumerate(METRICS):
        expected = result.history[:, column].tolist()
        assert [value for _, value, _ in sorted(metrics[key])] == [repr(value) for value in expected]
    assert metrics["best_valid_loss"][0][:2] == (600, "1.0")


def test_courier_without_the_studys_lock_delivers_nothing(
    untracked: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs_worker, "LOCK_SECONDS", 0.0)
    monkeypatch.setattr("search.tracking.client._ATTEMPTS", 1)
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
