"""One run of `insects-evaluate`: a registered model, its test rows, a report beside the model in MLflow."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from insects.errors import StoreError
from insects.evaluation import Report, evaluate
from insects.mlp import Floats
from insects.splits import Table, table_digest
from search.held_out import HELD_OUT, load_table
from search.registry import ALIAS, SEARCH_RUN_TAG, LoadedModel, load_model
from search.store import Store, reaching
from search.tracking import ROLE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROWS_AT_ONCE = 10_000
DIGEST_TAG = "insects.test_digest"


@dataclass(frozen=True)
class Evaluation:
    """A report on a model. test_looks: evaluations of this search on these rows, this one included."""

    report: Report
    model: dict[str, str]
    source: str
    test_looks: int


def run_evaluation(store: Store, uri: str, test: Path | None, target: str) -> Evaluation:
    """Evaluate a model of the registry and log report and figures to MLflow.

    test: a CSV file; None: the rows that the model's own search held out.
    Raises: StoreError: there is no such model or MLflow is away. DataError: the rows do not fit the model.
    """
    store.check_begun()
    client = store.client()
    model = load_model(store, client, uri)
    rows = _held_out(store, client, model) if test is None else _read(test, model, target)
    report = evaluate(predict(model, rows.x), rows.y, rows.classes)
    with reaching(store.tracking_uri):
        looks = _log(client, model, rows, report)
    return Evaluation(report, {"name": model.name, "version": model.version, "uri": uri}, rows.source, looks)


def predict(model: LoadedModel, x_NF: Floats) -> Floats:
    """Logits `(N, C)` of raw rows, some at a time."""
    import torch

    with torch.no_grad():
        parts = [
            model.module(torch.from_numpy(np.ascontiguousarray(x_NF[start : start + ROWS_AT_ONCE]))).numpy()
            for start in range(0, len(x_NF), ROWS_AT_ONCE)
        ]
    return np.concatenate(parts)


def _read(path: Path, model: LoadedModel, target: str) -> Table:
    from insects.data import read_rows_like

    return read_rows_like(path, model.features, model.classes, target)


def _held_out(store: Store, client: MlflowClient, model: LoadedModel) -> Table:
    if not model.search_run:
        raise StoreError(
            f"{model.name} version {model.version} does not say which search made it: give rows with --test"
        )
    with tempfile.TemporaryDirectory() as folder, reaching(store.tracking_uri):
        return load_table(Path(client.download_artifacts(model.search_run, HELD_OUT, folder)))


def _log(client: MlflowClient, model: LoadedModel, rows: Table, report: Report) -> int:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    digest = table_digest(rows)
    experiment = client.get_run(model.run).info.experiment_id
    wanted = f"tags.`{ROLE_TAG}` = 'evaluation' and tags.`{DIGEST_TAG}` = '{digest}'"
    looks = 1 + len(client.search_runs([experiment], wanted, max_results=1000))
    tags = {ROLE_TAG: "evaluation", DIGEST_TAG: digest, SEARCH_RUN_TAG: model.search_run}
    if model.search_run:
        tags["mlflow.parentRunId"] = model.search_run
    run_id = client.create_run(experiment, tags=tags, run_name=f"evaluation of version {model.version}").info.run_id
    now = int(time.time() * 1000)
    low, high = report.interval
    figures = {
        "test_accuracy": report.accuracy,
        "test_loss": report.loss,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
    }
    metrics = [
        Metric(
            key,
            value,
            now,
            0,
            model_id=model.model_id,
            dataset_name=rows.source,
            dataset_digest=digest[:32],
            run_id=run_id,
        )
        for key, value in figures.items()
    ]
    dataset = Dataset(rows.source, digest[:32], "local", rows.source)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "test")])])
    client.log_batch(
        run_id,
        metrics=metrics,
        params=[Param("model", model.name), Param("version", model.version), Param("rows", str(len(rows.y)))],
    )
    with tempfile.TemporaryDirectory() as folder:
        _draw(Path(folder), model, rows, report)
        client.log_artifacts(run_id, folder)
    client.set_terminated(run_id)
    client.set_model_version_tag(model.name, model.version, "test_accuracy", f"{report.accuracy:.4f}")
    return looks


def _draw(folder: Path, model: LoadedModel, rows: Table, report: Report) -> None:
    from insects.plots import confusion_figure, evaluation_boundary, figure_png

    title = f"{model.name} version {model.version}"
    boundary = evaluation_boundary(
        model.features, model.classes, lambda x_NF: predict(model, x_NF), rows.x, rows.y, f"{title} on test rows"
    )
    (folder / "confusion_matrix.png").write_bytes(figure_png(confusion_figure(report, f"{title}: confusion matrix")))
    (folder / "decision_boundary.png").write_bytes(figure_png(boundary))
    (folder / "report.txt").write_text(report.text() + "\n", encoding="utf-8")


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """The object that `insects-evaluate --json` prints."""
    return {
        **evaluation.report.as_dict(),
        "model": evaluation.model,
        "test": evaluation.source,
        "test_looks": evaluation.test_looks,
    }


def as_text(evaluation: Evaluation) -> str:
    """The report with its headline, and a word of caution at a second look."""
    name, version = evaluation.model["name"], evaluation.model["version"]
    lines = [f"Model {name} version {version} on {evaluation.source}", "", evaluation.report.text()]
    if evaluation.test_looks > 1:
        lines += [
            "",
            f"Look {evaluation.test_looks} at these test rows: choosing by what they say makes them validation rows.",
        ]
    return "\n".join(lines)


def best_uri(model_name: str) -> str:
    """URI of the model that carries the alias `best`."""
    return f"models:/{model_name}@{ALIAS}"
