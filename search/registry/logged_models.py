"""The best trial's model as MLflow keeps it: the files of a `torch.export` program. No pickle is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from insects.trial import TrialResult
from search.store.study_folder import StudyFolder
from search.system.temporary import check_room
from search.tracking.tags import STUDY_TAG, TRIAL_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel

_FILES = {"MLmodel", "data/model.pt2"}


@dataclass(frozen=True)
class Runs:
    """Ids of a trial's experiment, of its search's run and of its own."""

    experiment: str
    search: str
    trial: str


@dataclass(frozen=True)
class TrialModels:
    """The logged models of a trial: more than one, if two stores exported it at once or an export was interrupted.

    sees_files: see `search.tracking.experiment.sees_files`.
    """

    client: MlflowClient
    folder: StudyFolder
    result: TrialResult
    runs: Runs
    sees_files: bool

    def all(self) -> list[LoggedModel]:
        """Whole or not."""
        tags = {STUDY_TAG: self.folder.name, TRIAL_TAG: self.result.number}
        wanted = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return list(self.client.search_logged_models([self.runs.experiment], wanted))

    def usable(self, models: list[LoggedModel]) -> set[str]:
        """URIs of those whose export reached its end, whose files are still there, and which are of the trial's run."""
        from mlflow.entities import LoggedModelStatus

        ready = [model for model in models if model.status == LoggedModelStatus.READY]
        of_run = [model for model in ready if model.source_run_id == self.runs.trial]
        return {str(model.model_uri) for model in of_run if not self.sees_files or self._files(model) >= _FILES}

    def log(self) -> str:
        """Export the trial's model and log it; its URI."""
        import mlflow
        import mlflow.pytorch
        import torch
        from mlflow.models import Model

        from search.registry.export import build_program

        program = build_program(self.folder, self.result)
        check_room(program.size)  # torch ends the process where it cannot write a program to its end
        mlflow.set_experiment(experiment_id=self.runs.experiment)
        info = Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.pytorch,
            run_id=self.runs.trial,
            step=self.result.best_epoch,
            pytorch_model=program.module,
            signature=program.signature,
            input_example=program.example,
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", f"numpy=={np.__version__}"],
            serialization_format="pt2",
            validate_serving_input=False,
            tags={STUDY_TAG: self.folder.name, TRIAL_TAG: self.result.number},
            metadata={
                **program.about,
                "params": asdict(self.result.params),
                "valid_loss": self.result.valid_loss,
                "data_digest": self.folder.identity()["data"]["digest"],
            },
        )
        return str(info.model_uri)

    def _files(self, model: LoggedModel) -> set[str]:
        listed = [self.client.list_logged_model_artifacts(model.model_id, path) for path in (None, "data")]
        return {file.path for files in listed for file in files}
