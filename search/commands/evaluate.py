"""One run of `insects-evaluate`: a registered model, its test rows, a report beside the model in MLflow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects.errors import StoreError
from insects.evaluation import Report, evaluate
from insects.mlp import Floats
from search.commands.evaluation_data import Rows, RowsRequest, read_rows
from search.registry.alias import ALIAS
from search.registry.load import LoadedModel, load_model
from search.store.store import Store, reaching
from search.study.config import json_number
from search.system.temporary import temporary_folder
from search.tracking.tags import ROLE_TAG, SEARCH_RUN_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

DIGEST_TAG = "insects.test_digest"


@dataclass(frozen=True)
class Evaluation:
    """A report on a model. test_looks: evaluations of this search on these rows, this one included."""

    report: Report
    model: dict[str, str]
    source: str
    test_looks: int


def run_evaluation(store: Store, uri: str, request: RowsRequest) -> Evaluation:
    """Evaluate a model of the registry and log report and figures to MLflow.

    Raises: StoreError: there is no such model or MLflow is away. DataError: the rows do not fit the model.
    """
    store.check_begun()
    client = store.client()
    model = load_model(store, client, uri)
    rows = read_rows(store, client, model, request)
    logits_NC = rows.logits(model)
    report = evaluate(logits_NC, rows.y, model.classes, rows.groups)
    with temporary_folder() as folder:
        _draw(folder, model, rows, logits_NC, report)  # first, so that a run that is begun can be ended
        with reaching(store.tracking_uri):
            looks = _log(client, model, rows, report, str(folder))
    return Evaluation(report, {"name": model.name, "version": model.version, "uri": uri}, rows.source, looks)


def _log(client: MlflowClient, model: LoadedModel, rows: Rows, report: Report, artifacts: str) -> int:
    """The evaluation as a run of its own; how many there are now of these rows."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    digest = rows.digest
    experiment = _experiment(client, model)
    name, wanted = _run_name(model.version), f"tags.`{ROLE_TAG}` = 'evaluation' and tags.`{DIGEST_TAG}` = '{digest}'"
    known = client.search_runs([experiment], wanted, max_results=1000)
    # One that was interrupted is completed: MLflow keeps once what is the same twice.
    begun = [run for run in known if run.info.status == "RUNNING" and run.info.run_name == name]
    run = next((run for run in begun if run.data.params.get("model", model.name) == model.name), None)
    looks = len(known) if run else len(known) + 1
    if run is None:
        tags = {ROLE_TAG: "evaluation", DIGEST_TAG: digest, SEARCH_RUN_TAG: model.search_run}
        if model.search_run:
            tags["mlflow.parentRunId"] = model.search_run
        run = client.create_run(experiment, tags=tags, run_name=name)
    run_id, started = run.info.run_id, run.info.start_time
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
            started,
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
    client.log_artifacts(run_id, artifacts)
    client.set_terminated(run_id)
    client.set_model_version_tag(model.name, model.version, "test_accuracy", f"{report.accuracy:.4f}")
    return looks


def _experiment(client: MlflowClient, model: LoadedModel) -> str:
    experiment = client.get_experiment(client.get_run(model.search_run or model.run).info.experiment_id)
    if experiment.lifecycle_stage == "deleted":
        raise StoreError(
            f"experiment {experiment.name}, which keeps the evaluations of this model, was deleted: restore it in "
            "MLflow, or with insects-search --sync"
        )
    return str(experiment.experiment_id)


def _draw(folder: Path, model: LoadedModel, rows: Rows, logits_NC: Floats, report: Report) -> None:
    """Write figures and report."""
    from insects.plots import confusion_figure, figure_png

    title = f"{model.name} version {model.version}"
    figures = rows.figures(model, logits_NC, title)
    figures["confusion_matrix.png"] = confusion_figure(report, f"{title}: confusion matrix")
    files = {name: figure_png(figure) for name, figure in figures.items()}
    files["report.txt"] = f"{report.text()}\n".encode()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """The object that `insects-evaluate --json` prints; a loss that is not finite is None."""
    return {
        **evaluation.report.as_dict(),
        "loss": json_number(evaluation.report.loss),
        "model": evaluation.model,
        "test": evaluation.source,
        "test_looks": evaluation.test_looks,
    }


def as_text(evaluation: Evaluation) -> str:
    """The report with its headline, and a word of caution at a second look."""
    name, version = evaluation.model["name"], evaluation.model["version"]
    lines = [f"Model {name} version {version} on {evaluation.source}", "", evaluation.report.text()]
    lines += ["", f"Report and figures are in MLflow: run '{_run_name(version)}' of the model's study"]
    if evaluation.test_looks > 1:
        lines += [
            "",
            f"Evaluation {evaluation.test_looks} on these rows: who chooses a model by them needs others to test it.",
        ]
    return "\n".join(lines)


def _run_name(version: str) -> str:
    return f"evaluation of version {version}"


def best_uri(model_name: str) -> str:
    """URI of the model that carries the alias `best`."""
    return f"models:/{model_name}@{ALIAS}"
