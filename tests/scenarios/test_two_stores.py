"""Two stores that bring the same study to one server: one run a trial, one version, whoever was first."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.entities import ViewType

from insects.trial import TrialState
from search.reports.comparison import light_results
from search.store.store import Store
from search.study.config import study_digest
from search.tracking.trial_runs import TrialRunLogger
from tests.search.two_stores import STUDY, before, projection, runs_of, trials_of
from tests.support.registered_studies import study_of


def test_run_that_another_store_began_is_not_written_to_and_goes(stores: tuple[Store, Store]) -> None:
    one, two = stores
    first = projection(one)
    result = one.study(STUDY).load(0)
    assert result is not None
    left = first._create_run(result)
    second = projection(two)
    second.deliver_missing()
    assert trials_of(one) == [("0", "FINISHED")]
    assert [run.info.run_id for run in runs_of(one, "trial", ViewType.DELETED_ONLY)] == [left.run_id]
    again = projection(one)
    again.deliver_missing()
    assert again.deliver(0) == second.deliver(0)


def test_runs_that_two_stores_are_writing_are_both_left(stores: tuple[Store, Store]) -> None:
    for store in stores:
        result = store.study(STUDY).load(0)
        assert result is not None
        projection(store)._create_run(result)
    assert projection(stores[0])._runs.count() == 0
    assert trials_of(stores[1]) == [("0", "RUNNING")] * 2


@pytest.mark.parametrize(("state", "status"), [("pruned", "KILLED"), ("failed", "FAILED")])
def test_trial_that_ended_early_has_one_run_too(state: TrialState, status: str, stores: tuple[Store, Store]) -> None:
    for store in stores:
        result = store.study(STUDY).load(0)
        assert result is not None
        store.study(STUDY).save(replace(result, state=state))
        projection(store).deliver_missing()
    assert trials_of(stores[0]) == [("0", status)]
    assert not runs_of(stores[0], "trial", ViewType.DELETED_ONLY)


def test_run_that_became_whole_while_this_one_was_made_is_kept(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = stores
    first, second = projection(one), projection(two)
    before(monkeypatch, first, "_create_run", second.deliver_missing)
    assert first.deliver(0) == second.deliver(0)
    assert trials_of(one) == [("0", "FINISHED")]


def both_written(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> tuple[TrialRunLogger, TrialRunLogger, str, str]:
    """Both have written trial 0, and neither saw the other's run when it looked; the ids of both runs, ascending."""
    first, second = (projection(store) for store in stores)
    before(monkeypatch, first._client, "set_terminated", lambda: second.deliver(0))
    first.deliver(0)
    lower, higher = sorted(str(run.info.run_id) for run in runs_of(stores[0], "trial"))
    return first, second, lower, higher


def test_two_whole_runs_become_the_one_that_all_choose(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, lower, _ = both_written(stores, monkeypatch)
    first.deliver_missing()
    assert [run.info.run_id for run in runs_of(stores[0], "trial")] == [lower]
    assert (first.settled(0), second.settled(0)) == (lower, lower)


def test_trial_whose_run_each_deleted_for_the_others_is_delivered_again(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, lower, higher = both_written(stores, monkeypatch)
    before(monkeypatch, first._client, "delete_run", lambda: second._client.delete_run(lower))
    assert first.settled(0) not in (higher, lower)
    assert trials_of(stores[0]) == [("0", "FINISHED")]


def test_searchs_run_that_another_store_replaces_is_found_again(stores: tuple[Store, Store]) -> None:
    from search.upload.runs_worker import Courier

    one, two = stores
    couriers = Courier(), Courier()
    for courier, store in zip(couriers, stores, strict=True):
        courier.open(str(store.path), store.tracking_uri, STUDY)
        courier.deliver(0)
    client = one.client()
    (search,) = runs_of(one, "search")
    evaluation = client.create_run(
        search.info.experiment_id,
        tags={"insects.role": "evaluation", "insects.search_run": search.info.run_id},
    )
    client.delete_run(search.info.run_id)
    for courier in couriers:
        courier.deliver_all()
        courier.compare()
        courier.finish("FINISHED")
        courier.close()
    (now,) = runs_of(one, "search")
    assert now.info.run_id != search.info.run_id
    assert (now.info.status, now.data.params["seed"]) == ("FINISHED", "0")
    (trial,) = runs_of(two, "trial")
    assert trial.data.tags["mlflow.parentRunId"] == now.info.run_id
    tags = client.get_run(evaluation.info.run_id).data.tags
    assert (tags["mlflow.parentRunId"], tags["insects.search_run"]) == (now.info.run_id, now.info.run_id)


def test_two_search_runs_become_the_one_with_the_lower_id(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = stores
    first = projection(one)
    first.deliver(0)
    made = first._client.create_run(first.experiment_id, tags={"insects.role": "search", "insects.study": STUDY})
    lower = min(made.info.run_id, first.search_run_id)
    second = projection(two)
    second.deliver_missing()
    assert [run.info.run_id for run in runs_of(one, "search")] == [second.search_run_id] == [lower]
    (trial,) = runs_of(one, "trial")
    assert trial.data.tags["mlflow.parentRunId"] == lower


def test_two_search_runs_that_are_made_at_once_become_one(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    one, two = stores
    seconds = []
    with monkeypatch.context() as patch:
        before(patch, MlflowClient, "create_run", lambda: seconds.append(projection(two)))
        first = projection(one)
    (kept,) = runs_of(one, "search")
    (gone,) = runs_of(one, "search", ViewType.DELETED_ONLY)
    assert first.search_run_id == kept.info.run_id == min(kept.info.run_id, gone.info.run_id)
    assert {kept.info.run_id, gone.info.run_id} >= {seconds[0].search_run_id}
    assert kept.data.params["seed"] == "0"


def test_store_with_fewer_trials_leaves_the_comparison_of_all(stores: tuple[Store, Store]) -> None:
    one, two = stores
    result = one.study(STUDY).load(0)
    assert result is not None
    for number in (1, 2):
        one.study(STUDY).save(replace(result, number=number, history=result.history * 0.5))
    for store in (two, one, two):
        delivered = projection(store)
        delivered.deliver_missing()
        delivered.compare()
    tags = runs_of(one, "search")[0].data.tags
    assert tags["insects.compared"] == study_digest(light_results(one.study(STUDY)))
    assert tags["mlflow.note.content"].startswith("Best of 3 trials")
    one.client().delete_run(delivered.search_run_id)
    delivered = projection(two)
    delivered.compare()  # better than none
    assert runs_of(one, "search")[0].data.tags["mlflow.note.content"].startswith("Best of 1 trials")


def test_courier_that_was_refused_once_goes_on_at_once(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two make the experiment at once, and the server refuses one of them."""
    from mlflow import MlflowClient

    from search.upload.runs_worker import Courier

    one, two = stores
    result = one.study(STUDY).load(0)
    assert result is not None
    one.study(STUDY).save(replace(result, number=1))
    courier = Courier()
    courier.open(str(one.path), one.tracking_uri, STUDY)
    with monkeypatch.context() as patch:
        before(patch, MlflowClient, "create_experiment", lambda: projection(two))
        courier.deliver(0)
    courier.deliver(1)
    courier.close()
    assert sorted(trials_of(one)) == [("0", "FINISHED"), ("1", "FINISHED")]


def test_two_comparisons_at_once_hold_the_best_figures_once(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (projection(store) for store in stores)
    for delivered in (first, second):
        delivered.deliver_missing()
    before(monkeypatch, first._client, "log_batch", second.compare)
    first.compare()
    history = stores[0].client().get_metric_history(first.search_run_id, "best_valid_loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1.0)]


def test_best_of_more_trials_is_the_one_that_the_searchs_run_shows(tmp_path: Path, empty_database: Path) -> None:
    """MLflow shows the value of the highest step, and the better trial has its best epoch earlier."""
    folder = study_of(tmp_path, STUDY, seed=0, loss=0.5)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    store = Store.at(tmp_path, f"sqlite:///{tmp_path / 'mlflow.db'}")
    first = folder.load(0)
    assert first is not None
    longer = replace(first, history=first.history.repeat(3, axis=0) * [[1], [1], [0.9]], best_epoch=3)
    folder.save(longer)
    for result in (None, replace(first, number=1, history=first.history * 0.5)):
        if result is not None:
            folder.save(result)
        delivered = projection(store)
        delivered.deliver_missing()
        delivered.compare()
    shown = store.client().get_run(delivered.search_run_id).data.metrics
    assert (shown["best_valid_loss"], shown["best_epoch"]) == (0.25, 1.0)
