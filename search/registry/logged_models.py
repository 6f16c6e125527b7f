"""The logged model of a trial or a finalist: the files of a `torch.export` program in MLflow. No pickle is written."""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np

from search.store.study_folder import StudyFolder
from search.study.winner import TrainedModel
from search.system.files import check_temporary_space
from search.tracking.client import mlflow_errors
from search.tracking.tags import STUDY_TAG, TRIAL_TAG
from search.tracking.trial_runs import RunIds

if TYPE_CHECKING:
    from mlflow import MlflowClient


def find_logged_model(client: MlflowClient, runs: RunIds) -> str | None:
    """Return the URI of a run's complete model; models whose export was interrupted are deleted.

    Args:
        client: MLflow's client.
        runs: The runs of the model.
    """
    from mlflow.entities import LoggedModelStatus

    complete = None
    for model in client.search_logged_models([runs.experiment], f"source_run_id = '{runs.model}'"):
        if model.status == LoggedModelStatus.READY:
            complete = complete or str(model.model_uri)
        else:
            client.delete_logged_model(model.model_id)
    return complete


def log_model(client: MlflowClient, folder: StudyFolder, model: TrainedModel, runs: RunIds) -> str:
    """Export a model, log it to its own run, and return its URI.

    Args:
        client: MLflow's client.
        folder: The study.
        model: The networks.
        runs: The runs of the model.

    Raises:
        StoreError: The study's files cannot be read, there is no room for temporary files, or MLflow does not answer.
    """
    import mlflow
    import torch
    from mlflow.models import Model

    from search.registry import flavor
    from search.registry.export import build_program

    program = build_program(folder, model)
    check_temporary_space(program.size)  # torch aborts the process if it cannot write the whole program
    with mlflow_errors(client.tracking_uri):
        mlflow.set_experiment(experiment_id=runs.experiment)
        info = Model.log(
            artifact_path=None,
            name="model",
            flavor=flavor,
            run_id=runs.model,
            step=model.step,
            classes=program.classes,
            table=program.table,
            pytorch_model=program.module,
            signature=program.signature,
            input_example=program.example,
            pip_requirements=[
                *([f"insects-search=={version('insects-search')}"] if program.table is not None else []),
                f"torch=={torch.__version__.partition('+')[0]}",
                f"numpy=={np.__version__}",
            ],
            validate_serving_input=False,
            tags={STUDY_TAG: folder.name, TRIAL_TAG: model.number},
            metadata={
                **program.metadata,
                "params": asdict(model.params),
                "networks": len(model.weights),
                **model.figures,
                "judged_by": model.judged_by,
                "metric": model.metric,
                "data_digest": folder.fingerprint["data"]["digest"],
            },
        )
        return str(info.model_uri)
