"""The experiment of a study in MLflow, found by the study's fingerprint whatever its name is by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from insects.errors import StoreError
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.config import fingerprint_digest
from search.tracking.mlflow_views import VIEW_TAG, study_view
from search.tracking.notes import BEGUN, markdown
from search.tracking.tags import FINGERPRINT_TAG, NOTE_TAG, STUDY_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

_KIND = "custom_model_development"  # MLflow's pages for training runs, not those for language models


def study_experiment(client: MlflowClient, store: Store, folder: StudyFolder) -> str:
    """Return the id of the study's experiment, created if there is none.

    Args:
        client: MLflow's client.
        store: The store that the study is in.
        folder: The study.

    Raises:
        StoreError: The experiment was deleted, or its name is that of another one.
    """
    from mlflow.entities import ViewType

    tags = {STUDY_TAG: folder.name, FINGERPRINT_TAG: fingerprint_digest(folder.fingerprint)}
    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    found = list(client.search_experiments(ViewType.ALL, filter_string=wanted))
    if not found:
        if client.get_experiment_by_name(folder.name) is not None:
            raise StoreError(
                f"experiment {folder.name} at {store.shown_uri} is not of this study, or of other data or settings: "
                "rename it (or remove it with `mlflow gc` if it was deleted), or search with another --study"
            )
        about = {
            NOTE_TAG: f"{BEGUN} {markdown(folder.source)}",
            VIEW_TAG: study_view(folder.metric),
            "mlflow.experimentKind": _KIND,
        }
        return str(client.create_experiment(folder.name, store.artifact_location(folder.name), {**tags, **about}))
    experiment = min(found, key=lambda entry: (entry.lifecycle_stage == "deleted", entry.creation_time))
    if experiment.lifecycle_stage == "deleted":
        raise deleted_in_mlflow(f"experiment {experiment.name}", folder)
    return str(experiment.experiment_id)


def deleted_in_mlflow(what: str, folder: StudyFolder) -> StoreError:
    """Return the error about something that a person deleted, which is not made again.

    Args:
        what: What was deleted.
        folder: The study that it belongs to.
    """
    return StoreError(
        f"{what} was deleted in MLflow: restore it there, or delete {folder.path} to forget the study, "
        "or search with another --study"
    )
