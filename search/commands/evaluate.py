"""`insects-evaluate`: the final evaluation of a registered model, kept in MLflow beside the model."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insects.errors import StoreError
from insects.evaluation import Report, evaluate
from insects.mlp import Floats
from search.commands.evaluation import Evaluation, evaluation_run_name, model_title
from search.commands.evaluation_baselines import start_baselines
from search.commands.evaluation_data import (
    EvaluationData,
    EvaluationRequest,
    EvaluationTable,
    count_seen,
    read_evaluation_data,
)
from search.commands.evaluation_figures import draw_figures
from search.commands.evaluation_report import report_evaluation
from search.commands.evaluation_worker import EvaluationWorker, evaluation_worker
from search.registry.load import LoadedModel, load_model
from search.reports.descriptions import FigureFormat
from search.store.store import Store
from search.system.files import temporary_folder
from search.tracking.client import connect, mlflow_errors
from search.tracking.held_out import save_table
from search.tracking.tags import PARENT_TAG, ROLE_TAG, SEARCH_RUN_TAG, TEST_DIGEST_TAG
from search.upload.worker_process import WorkerProcess

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_DIGEST_LENGTH = 32  # of a metric's data set in MLflow


def run_evaluation(store: Store, uri: str, request: EvaluationRequest) -> Evaluation:
    """Evaluate a registered model, and log report and figures to MLflow.

    Args:
        store: The store of the model.
        uri: The model's URI.
        request: The test data.

    Raises:
        StoreError: There is no such model, or MLflow does not answer.
        DataError: The test data does not fit the model.
    """
    store.check_database()
    with evaluation_worker() as worker, temporary_folder() as folder:
        model = load_model(store, uri)
        data = read_evaluation_data(store, model, request)
        artifacts = folder / "artifacts"
        artifacts.mkdir()
        baselines = start_baselines(worker, store, model, data, folder)
        logits_NC = data.logits(model)
        report = evaluate(logits_NC, data.y, model.classes, data.groups)
        figures = _start_figures(worker, folder, artifacts, model, data, logits_NC, report, request.figures)
        client = connect(store)  # MLflow is imported while the worker works
        seen = count_seen(store, client, model, data)
        evaluation = Evaluation(
            report=report,
            baselines=baselines(),
            model={"name": model.name, "version": model.version, "uri": uri},
            source=data.source,
            test_looks=0,  # counted with the run, below
            seen=seen,
            unit="row" if model.images is None else "image",
        )
        figures.result()
        (artifacts / "report.txt").write_text(f"{evaluation.text}\n", encoding="utf-8")
        with mlflow_errors(store.tracking_uri):  # the run is created last, so that an error before leaves none
            looks = _log(client, model, data, evaluation, str(artifacts))
        evaluation = replace(evaluation, test_looks=looks)
        report_evaluation(store, client, model, evaluation, worker)
    return evaluation


def _start_figures(
    worker: WorkerProcess[EvaluationWorker],
    folder: Path,
    artifacts: Path,
    model: LoadedModel,
    data: EvaluationData,
    logits_NC: Floats,
    report: Report,
    written_as: FigureFormat,
) -> Future[None]:
    """Draw the figures: those of a table in the worker, those of images, whose model may need torch, here."""
    title = model_title(model.name, model.version)
    if isinstance(data, EvaluationTable):
        rows, logits = folder / "test_rows.npz", folder / "logits.npy"
        save_table(data.table, rows)
        np.save(logits, logits_NC, allow_pickle=False)
        files = str(model.files), str(rows), str(logits), str(artifacts)
        return worker.submit(EvaluationWorker.draw, title, *files, written_as)
    draw_figures(artifacts, title, model, data, logits_NC, report, written_as)
    drawn: Future[None] = Future()
    drawn.set_result(None)
    return drawn


def _log(
    client: MlflowClient,
    model: LoadedModel,
    data: EvaluationData,
    evaluation: Evaluation,
    artifacts: str,
) -> int:
    """Log the evaluation as a run of its own; return how many there are of this data."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    report, seen = evaluation.report, evaluation.seen
    run, looks = _open_run(client, model, data.digest)
    run_id, started, digest = run.info.run_id, run.info.start_time, data.digest[:_DIGEST_LENGTH]
    of_data = {"model_id": model.model_id, "dataset_name": data.source, "dataset_digest": digest, "run_id": run_id}
    low, high = report.interval
    figures = {
        "test_accuracy": report.accuracy,
        "test_loss": report.loss,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "test_balanced_accuracy": report.balanced_accuracy,
        "test_roc_auc": report.roc_auc,
        "test_calibration_error": report.calibration_error,
    }
    params = {"model": model.name, "version": model.version, "rows": str(len(data.y))}
    params |= {} if seen is None else {"seen_in_training": str(seen)}
    dataset = Dataset(data.source, digest, "local", data.source)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "test")])])
    client.log_batch(
        run_id,
        metrics=[Metric(key, value, started, 0, **of_data) for key, value in figures.items() if value is not None],
        params=[Param(key, value) for key, value in params.items()],
    )
    client.log_artifacts(run_id, artifacts)
    client.set_terminated(run_id)
    client.set_model_version_tag(model.name, model.version, "test_accuracy", f"{report.accuracy:.4f}")
    return looks


def _open_run(client: MlflowClient, model: LoadedModel, digest: str) -> tuple[Run, int]:
    """Return a run for an evaluation, and how many evaluations there are of this data with it.

    The run of an evaluation that was interrupted is completed: MLflow keeps equal metrics and files once.
    """
    experiment = client.get_experiment(client.get_run(model.search_run or model.run).info.experiment_id)
    if experiment.lifecycle_stage == "deleted":
        raise StoreError(
            f"experiment {experiment.name}, to which evaluations of this model are logged, was deleted: restore it in "
            "MLflow"
        )
    name, wanted = (
        evaluation_run_name(model.version),
        f"tags.`{ROLE_TAG}` = 'evaluation' and tags.`{TEST_DIGEST_TAG}` = '{digest}'",
    )
    known = client.search_runs([experiment.experiment_id], wanted, max_results=1000)
    for run in known:
        is_of_model = run.info.run_name == name and run.data.params.get("model", model.name) == model.name
        if run.info.status == "RUNNING" and is_of_model:
            return run, len(known)
    tags = {ROLE_TAG: "evaluation", TEST_DIGEST_TAG: digest, SEARCH_RUN_TAG: model.search_run}
    if model.search_run:
        tags[PARENT_TAG] = model.run  # under the model that it is about: the search's own runs stay its trials
    return client.create_run(experiment.experiment_id, tags=tags, run_name=name), len(known) + 1
