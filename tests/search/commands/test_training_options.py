"""Searches with other training than the default, from the command line to the evaluation of the registered model."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow

from search.store.store import Store
from tests.support.commands import command
from tests.support.studies import builtin_splits


def test_softmax_regression_is_searched_registered_and_evaluated(tmp_path: Path) -> None:
    store = tmp_path / "store"
    options = ("--trials", "4", "--epochs", "2", "--depth", "0", "--width", "8:16", "--store", str(store))
    done = command("insects-search", *options, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [trial["params"]["depth"] for trial in answer["trials"]] == [0, 0, 0, 0]
    folder = Store.at(store, None).study(answer["study"])
    best = folder.load(answer["best"]["number"])
    assert best is not None
    splits, test = builtin_splits()
    assert best.weights.shape == (3 * 5,)
    logits_NC = splits.encoder.transform(test.x) @ best.weights[:10].reshape(5, 2).T + best.weights[10:]

    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    figures = {file.path for file in mlflow.artifacts.list_artifacts(run_id=search_run_id())}
    assert {"slices.png", "parallel_coordinates.png", "contour.png", "boundary_atlas.png"} <= figures
    done = command("insects-evaluate", "--best", "--store", str(store), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["correct"] == int((logits_NC.argmax(axis=1) == test.y).sum())


def search_run_id() -> str:
    """The id of the only search's run."""
    (run,) = mlflow.search_runs(
        search_all_experiments=True, filter_string="tags.`insects.role` = 'search'", output_format="list"
    )
    return str(run.info.run_id)
