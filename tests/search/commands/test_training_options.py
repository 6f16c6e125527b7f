"""Searches with other training than the default, from the command line to the evaluation of the registered model."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pytest
from scipy.special import softmax

from insects import mlp
from insects.scores import roc_auc
from insects.spiral import builtin_tables
from search.store.store import Store
from tests.support.commands import RefusingProcess, client_of, command, invoke
from tests.support.studies import builtin_splits, model_of, optuna_trials


def test_softmax_regression_is_searched_registered_and_evaluated(tmp_path: Path) -> None:
    store = tmp_path / "store"
    options = ("--trials", "4", "--epochs", "2", "--depth", "0", "--width", "8:16", "--store", str(store))
    done = command("insects-search", *options, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert [trial["params"]["depth"] for trial in answer["trials"]] == [0, 0, 0, 0]
    folder = Store.at(store, None).study(answer["study"])
    splits, test = builtin_splits()
    best = folder.load(answer["best"]["number"])
    assert best is not None
    assert best.weights.shape == (3 * 5,)
    share_NC = np.zeros((len(test.y), 5))
    for weights in model_of(folder, answer).weights:
        logits_NC = splits.encoder.transform(test.x) @ weights[:10].reshape(5, 2).T + weights[10:]
        share_NC += softmax(logits_NC, axis=1)

    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    figures = {file.path for file in mlflow.artifacts.list_artifacts(run_id=search_run_id())}
    assert {"slices.png", "parallel_coordinates.png", "contour.png", "boundary_atlas.png"} <= figures
    done = command("insects-evaluate", "--best", "--store", str(store), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["correct"] == int((share_NC.argmax(axis=1) == test.y).sum())


def test_search_by_another_metric_with_balanced_classes_is_so_in_every_place(tmp_path: Path) -> None:
    store = tmp_path / "store"
    options = ["--trials", "7", "--epochs", "3", "--width", "8:16", "--depth", "0:1", "--pruner", "median"]
    options += ["--metric", "roc-auc", "--class-weight", "balanced", "--window", "1", "--store", str(store)]
    done = command("insects-search", *options, "--json")
    assert done.returncode == 0, done.stderr
    assert "best ROC AUC 0." in done.stderr
    answer = json.loads(done.stdout)
    folder = Store.at(store, None).study(answer["study"])
    results = folder.results_without_weights()
    assert {result.history.shape[1] for result in results} == {5}
    complete = [result for result in results if result.state == "complete"]
    best = max(complete, key=lambda result: result.history[:, 4].max())
    assert answer["best"]["number"] == best.number
    area = best.history[best.best_epoch - 1, 4]
    assert area == best.history[:, 4].max() == answer["best"]["valid_roc_auc"] == 1 - best.objective
    stored = folder.load(best.number)
    assert stored is not None
    splits = builtin_splits()[0]
    logits_VC = mlp.logits(stored.weights, stored.params, splits.shape, splits.valid_x)
    assert roc_auc(logits_VC, splits.valid_y) == pytest.approx(area, abs=1e-3)
    assert (folder.metric, folder.class_weight) == ("roc-auc", "balanced")

    client = client_of(store)
    mlflow.set_tracking_uri(client.tracking_uri)
    run = client.get_run(search_run_id())
    assert (run.data.params["metric"], run.data.params["class_weight"]) == ("roc-auc", "balanced")
    assert run.data.metrics["best_valid_roc_auc"] == area
    note = run.data.tags["mlflow.note.content"]
    assert f"ROC AUC {area:.4f}" in note.splitlines()[0]
    assert "by validation ROC AUC, best first" in note
    (version,) = client.search_model_versions("name = 'insects-mlp'")
    assert (version.tags["insects.metric"], version.tags["insects.trial"]) == ("ROC AUC", str(best.number))
    in_optuna = optuna_trials(store / "optuna.journal", answer["study"])
    assert min(trial["values"][0] for trial in in_optuna if trial["state"] == "COMPLETE") == 1 - area

    again = command("insects-search", *options)
    assert again.returncode == 0, again.stderr
    lines = again.stdout.splitlines()
    assert "Best by validation ROC AUC, in their best epochs:" in lines
    first = lines[lines.index("Best by validation ROC AUC, in their best epochs:") + 2].split()
    assert (first[0], first[-1]) == (str(best.number), f"{area:.4f}")


def search_run_id() -> str:
    """The id of the only search's run."""
    (run,) = mlflow.search_runs(
        search_all_experiments=True, filter_string="tags.`insects.role` = 'search'", output_format="list"
    )
    return str(run.info.run_id)


@pytest.mark.parametrize(("rows", "epochs"), [(150, 60), (500, 34), (900, 20)])
def test_small_tables_get_more_epochs(rows: int, epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = builtin_tables()[0]
    lines = [f"{label},{a!r},{b!r}" for label, (a, b) in zip(table.y[:rows], table.x[:rows].tolist(), strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["labels,a,b", *lines]))
    words = ["search", "--train", str(tmp_path / "rows.csv"), "--trials", "1", "--width", "8", "--depth", "1"]
    done = invoke(monkeypatch, *words, "--finalists", "0", "--store", str(tmp_path), "--json", workers=RefusingProcess)
    assert json.loads(done.stdout.splitlines()[-1])["trials"][0]["epochs"] == epochs
    assert (f"Epochs of a trial: {epochs}, since the table is small" in done.stderr) == (epochs > 20)
