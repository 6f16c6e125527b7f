"""The registered model: versions, the alias, what other programs load."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from insects import mlp
from insects.errors import StoreError
from search.registry import versions
from search.system.lock import LockHeldError, hold
from search.tracking.trial_runs import TrialRunLogger
from search.upload import model_worker
from tests.support.commands import Finished, digests, own
from tests.support.registered_studies import registered, study_of
from tests.support.studies import builtin_splits

URI = "models:/insects-mlp@best"


@pytest.fixture
def best_logits(finished: Finished) -> Any:
    """The search's own prediction: raw rows to the logits of its best trial's weights."""
    splits, _ = builtin_splits()
    result = finished.folder.load(finished.answer["best"]["number"])
    assert result is not None

    def predict(x_NF: np.ndarray) -> np.ndarray:
        standardized = (x_NF - splits.mean) / splits.std
        return mlp.logits(result.weights, result.params, splits.shape, standardized)

    return predict


def some_rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(0, 0.5, (count, 2)).astype(np.float32)


def test_best_trial_is_registered_once_under_the_alias(finished: Finished) -> None:
    best = finished.answer["best"]
    (version,) = finished.tracked["versions"]
    assert version["version"] == "1"
    assert version["aliases"] == ["best"]
    assert version["run"] == f"trial-{best['number']:04d}"
    assert version["search"] == f"search {finished.answer['study']}"
    assert float(version["tags"]["insects.valid_loss"]) == best["valid_loss"]
    assert version["tags"]["insects.tables.labelled"] == builtin_splits()[0].digest
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

    own(finished.store).client()
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", str(pickle_allowed).lower())
    model = mlflow.pytorch.load_model(URI)
    rows = some_rows(count)
    found = model(torch.from_numpy(rows)).detach().numpy()
    np.testing.assert_allclose(found, best_logits(rows), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [1, 1000])
def test_pyfunc_flavor_predicts_as_the_search_does(count: int, finished: Finished, best_logits: Any) -> None:
    import mlflow

    own(finished.store).client()
    rows = some_rows(count)
    found = mlflow.pyfunc.load_model(URI).predict(rows)
    np.testing.assert_allclose(found, best_logits(rows), rtol=1e-5, atol=1e-5)


def test_metadata_signature_and_example_say_what_goes_in_and_out(finished: Finished) -> None:
    import mlflow

    own(finished.store).client()
    info = mlflow.models.get_model_info(URI)
    assert info.metadata is not None
    assert info.metadata["features"] == ["feature1", "feature2"]
    assert info.metadata["classes"] == ["0", "1", "2", "3", "4"]
    assert info.metadata["params"] == finished.answer["best"]["params"]
    (column,) = info.signature.inputs.to_dict()
    assert column["tensor-spec"] == {"dtype": "float32", "shape": (-1, 2)}
    (logits,) = info.signature.outputs.to_dict()
    assert logits["tensor-spec"] == {"dtype": "float32", "shape": (-1, 5)}
    assert info.saved_input_example_info is not None


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
    assert len(list((store / "artifacts" / "s" / "models").iterdir())) == 1


def test_interrupted_registration_is_completed_with_the_model_that_is_there(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study_of(store, "s", 0)

    def cut(*_: object) -> None:
        raise ConnectionError("away")

    monkeypatch.setattr(versions, "_create_version", cut)
    with pytest.raises(StoreError, match="away"):
        registered(store, folder)
    monkeypatch.undo()
    assert registered(store, folder).version == "1"
    assert len(list((store / "artifacts" / "s" / "models").iterdir())) == 1


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
    assert str(own(store).client().get_model_version_by_alias("insects-mlp", "best").version) == "4"


def test_alias_moves_to_a_worse_model_of_other_data_and_says_so(store: Path) -> None:
    registered(store, study_of(store, "one", 1, 0.5))
    other = registered(store, study_of(store, "two", 2, 0.9, data="ff" * 32))
    assert (other.alias, other.note) == ("best", "version 2 is now best: version 1 was for other data")


def test_version_of_another_study_of_that_name_is_not_taken_for_this_ones(store: Path) -> None:
    first = study_of(store, "s", 1, 0.5)
    registered(store, first)
    own(store).client().rename_experiment(TrialRunLogger(own(store), first).experiment_id, "old")
    shutil.rmtree(first.path)
    second = registered(store, study_of(store, "s", 2, 0.25))
    assert (second.version, second.note) == ("2", "version 2 is now best: loss 0.2500, was 0.5000")


def test_two_studies_of_a_store_are_not_compared_with_the_best_model_at_once(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_worker, "LOCK_SECONDS", 0.0)
    with hold(store / "register.lock"), pytest.raises(LockHeldError, match=r"register\.lock is held by process"):
        model_worker.register_best(str(store), own(store).tracking_uri, "s", 0, ["1", "2", "3"], "insects-mlp", True)


def test_models_of_another_name_have_their_own_versions_and_alias(store: Path) -> None:
    registered(store, study_of(store, "one", 1, 0.5))
    other = registered(store, study_of(store, "two", 2, 0.9), name="moths")
    assert (other.version, other.uri) == ("1", "models:/moths@best")
