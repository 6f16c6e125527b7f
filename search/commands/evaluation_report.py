"""The evaluation of a study's model in the study's report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from insects.errors import InsectsError
from search.commands.evaluation import Evaluation
from search.commands.evaluation_worker import EvaluationWorker
from search.registry.load import LoadedModel
from search.store.evaluation_record import EvaluationRecord
from search.store.store import Store
from search.system.terminal import say
from search.tracking.client import mlflow_errors
from search.tracking.notes import describe_study
from search.tracking.search_run import log_report
from search.tracking.tags import SEARCH_ID_TAG
from search.upload.worker_process import WorkerProcess

if TYPE_CHECKING:
    from mlflow import MlflowClient


def report_evaluation(
    store: Store,
    client: MlflowClient,
    model: LoadedModel,
    evaluation: Evaluation,
    worker: WorkerProcess[EvaluationWorker],
) -> None:
    """Keep an evaluation in the folder of the model's study, and write the study's report again.

    Nothing is done where the study is not in the store. The evaluation is complete without it, so a store that cannot
    be written is reported and is no error.

    Args:
        store: The store of the model.
        client: MLflow's client.
        model: The model.
        evaluation: Its evaluation, which is in MLflow.
        worker: Writes the report.
    """
    named = [folder for folder in store.studies() if folder.name == model.study]
    if not named or not model.search_run:
        return
    try:
        with mlflow_errors(store.tracking_uri):
            search_id = client.get_run(model.search_run).data.tags.get(SEARCH_ID_TAG)
        for folder in named:
            if folder.id == search_id:
                folder.save_evaluation(
                    EvaluationRecord(
                        version=model.version,
                        source=evaluation.source,
                        looks=evaluation.test_looks,
                        seen=evaluation.seen,
                        unit=evaluation.unit,
                        report=evaluation.report.as_dict(),
                        baselines=[score.as_dict() for score in evaluation.baselines.scores or ()],
                    )
                )
                uploaded = folder.upload_record()
                version = uploaded.version if uploaded is not None else None
                arguments = (str(store.path), folder.name, store.shown_uri, version or model.version)
                worker.submit(EvaluationWorker.write_report, *arguments).result()
                log_report(client, model.search_run, folder)
                describe_study(client, model.search_run, folder)
    except InsectsError as error:  # of the store, here or in the worker
        say(f"The study's report could not be written again: {error}")
