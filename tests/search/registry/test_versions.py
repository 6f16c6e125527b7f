"""The best trial as a version of a registered model: made once, the alias, and what other programs load."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus

from insects import mlp
from insects.errors import StoreError
from search.registry.versions import register
from tests.support.commands import Finished, client_of, contents, digests, own
from tests.support.registered_studies import logger_of, registered, study_of, without_export
from tests.support.studies import builtin_data, builtin_splits, model_of

pytestmark = pytest.mark.usefixtures("no_export")

URI = "models:/insects-mlp@best"

# The requests that change MLflow while a model is registered.
STEPS = (
    "finalize_logged_model",
    "create_registered_model",
    "create_model_version",
    "set_registered_model_alias",
    "set_tag",
    "set_model_version_tag",
)


@pytest.fixture
def no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    without_export(monkeypatch)


@pytest.fixture
def best_logits(finished: Finished) -> Any:
    """The search's own prediction: raw rows to the logits of the networks of its chosen finalist."""
    splits, _ = builtin_splits()
    model = model_of(finished.folder, finished.answer)

    def predict(x_NF: np.ndarray) -> np.ndarray:
        standardized = (x_NF - splits.encoder.mean) / splits.encoder.std
        return mlp.mean_logits(model.weights, model.params, splits.shape, standardized)

    return predict


def experiment_of(store: Path) -> str:
    """The experiment of study `s`."""
    experiment = client_of(store).get_experiment_by_name("s")
    assert experiment is not None
    return str(experiment.experiment_id)


def some_rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(0, 0.5, (count, 2)).astype(np.float32)


def test_best_trial_is_registered_once_under_the_alias(finished: Finished) -> None:
    final = finished.answer["final"]
    (chosen,) = [finalist for finalist in final["finalists"] if finalist["number"] == final["chosen"]]
    (version,) = finished.tracked["versions"]
    assert version["version"] == "1"
    assert version["aliases"] == ["best"]
    assert version["run"] == f"final-{final['chosen']:04d}"
    assert version["search"] == f"search {finished.answer['study']}"
    assert float(version["tags"]["insects.objective"]) == chosen["loss"]
    assert version["tags"]["insects.data"] == builtin_data().rows
    assert finished.answer["model"] == {
        "name": "insects-mlp",
        "version": "1",
        "alias": "best",
        "uri": URI,
        "note": "version 1 is now best",
    }


@pytest.mark.parametrize("count", [1, 1000])
@pytest.mark.parametrize("pickle_allowed", [True, False])
def test_pytorch_flavor_predicts_as_the_search_does(
    count: int, pickle_allowed: bool, finished: Finished, best_logits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    import torch

    client_of(finished.store)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", str(pickle_allowed).lower())
    model = mlflow.pytorch.load_model(URI)
    rows = some_rows(count)
    found = model(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(found, best_logits(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [1, 1000])
def test_pyfunc_flavor_predicts_as_the_search_does(count: int, finished: Finished, best_logits: Any) -> None:
    import mlflow

    client_of(finished.store)
    rows = some_rows(count)
    frame = pd.DataFrame({"extra": 1, "feature2": rows[:, 1], "feature1": rows[:, 0]}, index=np.arange(count)[::-1])
    found = mlflow.pyfunc.load_model(URI).predict(frame)
    logits = best_logits(rows)
    assert list(found.columns) == ["predicted_labels", *(f"probability_{arm}" for arm in range(5))]
    assert found.index.tolist() == frame.index.tolist()
    assert found["predicted_labels"].tolist() == logits.argmax(axis=1).tolist()
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.iloc[:, 1:], expected, atol=1e-5)


def test_pyfunc_flavor_refuses_rows_without_the_columns_of_the_model(finished: Finished) -> None:
    import mlflow

    client_of(finished.store)
    model = mlflow.pyfunc.load_model(URI)
    with pytest.raises(mlflow.MlflowException, match="the data frame lacks column 'feature2' of the model"):
        model.predict(pd.DataFrame({"feature1": [1.0]}))
    with pytest.raises(mlflow.MlflowException, match="rows must have column names, found ndarray"):
        model.predict(some_rows(3))


def test_metadata_and_signature_say_what_goes_in_and_out(finished: Finished) -> None:
    import mlflow

    client_of(finished.store)
    info = mlflow.models.get_model_info(URI)
    assert info.metadata is not None
    assert info.metadata["table"]["target"] == "labels"
    assert [column["name"] for column in info.metadata["table"]["columns"]] == ["feature1", "feature2"]
    assert info.metadata["classes"] == ["0", "1", "2", "3", "4"]
    assert info.metadata["params"] == finished.answer["best"]["params"]
    inputs, outputs = info.signature.inputs.to_dict(), info.signature.outputs.to_dict()
    assert [(column["name"], column["type"]) for column in inputs] == [("feature1", "double"), ("feature2", "double")]
    assert [(column["name"], column["type"]) for column in outputs][:2] == [
        ("predicted_labels", "long"),
        ("probability_0", "double"),
    ]


def test_model_files_hold_no_pickle(finished: Finished) -> None:
    (model,) = (finished.store / "artifacts" / finished.answer["study"] / "models").iterdir()
    files = set(digests(model / "artifacts"))
    assert "data/model.pt2" in files
    assert not [name for name in files if name.endswith((".pkl", ".pth", ".pickle", ".py"))]


def test_registering_again_makes_no_second_version_or_model(store: Path) -> None:
    folder = study_of(store, "s", 0)
    first = registered(store, folder)
    again = registered(store, folder)
    assert (first.version, again.version) == ("1", "1")
    assert (first.note, again.note) == ("version 1 is now best", "version 1 is best already")
    assert len(client_of(store).search_logged_models([experiment_of(store)])) == 1


@pytest.mark.parametrize("step", STEPS)
def test_lost_answer_makes_no_second_model_or_version(step: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = study_of(store, "s", 0)
    runs = logger_of(own(store), "s").log(0)
    original = getattr(MlflowClient, step)

    def lost(*arguments: Any, **options: Any) -> None:
        original(*arguments, **options)
        raise ConnectionError("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, lost)
        with pytest.raises(StoreError, match="the answer was lost"):
            register(own(store), folder, 0, 0, runs, "insects-mlp")
    found = register(own(store), folder, 0, 0, runs, "insects-mlp")
    assert found is not None
    assert (found.version, found.alias) == ("1", "best")
    client = client_of(store)
    (version,) = client.search_model_versions("name = 'insects-mlp'")
    (model,) = client.search_logged_models([runs.experiment])
    assert (version.source, version.run_id, model.status) == (model.model_uri, runs.model, LoggedModelStatus.READY)
    assert version.tags["insects.alias_decided"] == "true"
    assert client.get_run(runs.model).data.tags["insects.registered_as"] == "insects-mlp"


def test_interrupted_registration_is_completed_with_the_logged_model(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study_of(store, "s", 0)

    def cut(*_: object, **__: object) -> None:
        raise ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", cut)
        with pytest.raises(StoreError, match="away"):
            registered(store, folder)
    assert registered(store, folder).version == "1"
    assert len(client_of(store).search_logged_models([experiment_of(store)])) == 1


def test_model_whose_export_was_interrupted_is_deleted_and_exported_again(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study_of(store, "s", 0)

    def cut(*_: object, **__: object) -> None:
        raise ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "finalize_logged_model", cut)
        with pytest.raises(StoreError, match="away"):
            registered(store, folder)
    client = client_of(store)
    (interrupted,) = client.search_logged_models([experiment_of(store)])
    assert interrupted.status == LoggedModelStatus.PENDING
    assert registered(store, folder).version == "1"
    (model,) = client.search_logged_models([experiment_of(store)])
    assert (model.status, model.model_id != interrupted.model_id) == (LoggedModelStatus.READY, True)


def test_alias_is_decided_once_where_a_version_is_not_compared_again(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered(store, study_of(store, "one", 1, 0.5))
    better = study_of(store, "two", 2, 0.25)

    def cut(*_: object) -> None:
        raise ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", cut)
        with pytest.raises(StoreError, match="away"):
            registered(store, better, recompare=False)
    client = client_of(store)
    assert "insects.alias_decided" not in client.get_model_version("insects-mlp", "2").tags
    undecided = registered(store, better, recompare=False)  # `--sync` completes it
    assert undecided.note == "version 2 is now best: loss 0.2500, was 0.5000"
    client.set_registered_model_alias("insects-mlp", "best", "1")
    decided = registered(store, better, recompare=False)
    assert (decided.note, decided.alias) == ("version 2 was registered before", "")
    compared = registered(store, better)  # a search compares it again
    assert (compared.note, compared.alias) == ("version 2 is now best: loss 0.2500, was 0.5000", "best")


def test_study_whose_result_is_gone_is_one_line(store: Path) -> None:
    folder = study_of(store, "s", 0)
    runs = logger_of(own(store), "s").log(0)
    folder.file(0).unlink()
    with pytest.raises(StoreError, match=rf"^trial 0 of study s is no longer in {folder.path}$"):
        register(own(store), folder, 0, 0, runs, "insects-mlp")


def test_alias_moves_only_to_a_better_model_on_the_same_data(store: Path) -> None:
    first = registered(store, study_of(store, "one", 1, 0.5))
    worse = registered(store, study_of(store, "two", 2, 0.6))
    equal = registered(store, study_of(store, "three", 3, 0.5))
    better = registered(store, study_of(store, "four", 4, 0.25))
    assert [found.alias for found in (first, worse, equal, better)] == ["best", "", "", "best"]
    assert [found.version for found in (first, worse, equal, better)] == ["1", "2", "3", "4"]
    assert worse.uri == "models:/insects-mlp/2"
    assert worse.note == "version 1 stays best: loss 0.5000, version 2 has 0.6000"
    assert better.note == "version 4 is now best: loss 0.2500, was 0.5000"
    assert str(client_of(store).get_model_version_by_alias("insects-mlp", "best").version) == "4"


def test_alias_moves_to_a_worse_model_of_other_data_and_says_so(store: Path) -> None:
    registered(store, study_of(store, "one", 1, 0.5))
    other = registered(store, study_of(store, "two", 2, 0.9, data="ff" * 32))
    assert (other.alias, other.note) == ("best", "version 2 is now best: version 1 was for other data")


def test_version_of_another_study_of_that_name_is_not_taken_for_this_ones(store: Path) -> None:
    first = study_of(store, "s", 1, 0.5)
    registered(store, first)
    client_of(store).rename_experiment(logger_of(own(store), "s").log(0).experiment, "old")
    shutil.rmtree(first.path)
    second = registered(store, study_of(store, "s", 2, 0.25))
    assert (second.version, second.note) == ("2", "version 2 is now best: loss 0.2500, was 0.5000")


def test_another_trial_of_a_study_is_another_version(store: Path) -> None:
    folder = study_of(store, "s", 1, 0.5)
    first = folder.load(0)
    assert first is not None
    registered(store, folder)
    folder.save(replace(first, number=1, history=first.history * 0.5))
    runs = logger_of(own(store), "s").log(1, 0)
    second = register(own(store), folder, 1, 0, runs, "insects-mlp")
    assert second is not None
    assert (second.version, second.note) == ("2", "version 2 is now best: loss 0.2500, was 0.5000")
    versions = client_of(store).search_model_versions("name = 'insects-mlp'")
    assert {version.tags["insects.trial"]: version.run_id for version in versions}["1"] == runs.model


def test_models_of_another_name_have_their_own_versions_and_alias(store: Path) -> None:
    registered(store, study_of(store, "one", 1, 0.5))
    other = registered(store, study_of(store, "two", 2, 0.9), name="moths")
    assert (other.version, other.uri) == ("1", "models:/moths@best")


def test_model_under_a_second_name_is_the_same_logged_model(store: Path) -> None:
    folder = study_of(store, "s", 0)
    for name in ("insects-mlp", "moths"):
        assert registered(store, folder, name).version == "1"
    (mlp_version,), (moths,) = (
        client_of(store).search_model_versions(f"name = '{name}'") for name in ("insects-mlp", "moths")
    )
    assert mlp_version.source == moths.source
    (run,) = contents(store, "s")["runs"]["trial-0000"]
    assert run["tags"]["insects.registered_as"] == "insects-mlp moths"
