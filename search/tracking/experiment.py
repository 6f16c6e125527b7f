"""A study's experiment in MLflow: found by what the study is, whatever it is called by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from insects.errors import StoreError
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.config import digest
from search.tracking.mlflow_views import VIEW_TAG, study_view
from search.tracking.tags import IDENTITY_TAG, NOTE_TAG, STUDY_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

_KIND = "custom_model_development"  # the pages for training runs, not those for language models


def study_experiment(client: MlflowClient, store: Store, folder: StudyFolder) -> str:
    """Id of the study's experiment: the one that is there, brought back if it was deleted, else a new one.

    Raises: StoreError: the name is that of something else.
    """
    from mlflow.entities import ViewType

    tags = {STUDY_TAG: folder.name, IDENTITY_TAG: digest(folder.identity())}
    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    found = list(client.search_experiments(ViewType.ALL, filter_string=wanted))
    if not found:
        taken = client.get_experiment_by_name(folder.name)
        if taken is None:
            about = {NOTE_TAG: f"A search on {folder.source()}", VIEW_TAG: study_view(), "mlflow.experimentKind": _KIND}
            return str(client.create_experiment(folder.name, store.artifact_location(folder.name), {**tags, **about}))
        if not tags.items() <= taken.tags.items():  # else another deliverer has just made it
            raise StoreError(_refusal(store, folder.name, taken.lifecycle_stage == "deleted"))
        found = [taken]
    # Several: deleted, made again and brought back by hand.
    experiment = min(found, key=lambda entry: (entry.lifecycle_stage == "deleted", entry.creation_time))
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return str(experiment.experiment_id)


def sees_files(client: MlflowClient, store: Store, folder: StudyFolder, experiment_id: str) -> bool:
    """Whether files of the experiment that are not there are gone: a server's, or this store's own. Those of another
    store, with which this one shares a database, may be on another machine."""
    location = client.get_experiment(experiment_id).artifact_location
    return store.is_server or location == store.artifact_location(folder.name)


def _refusal(store: Store, name: str, deleted: bool) -> str:
    return (
        f"experiment {name} at {store.shown_uri} is of something else than this study, or of other data or settings: "
        f"{'remove it for good with `mlflow gc`' if deleted else 'rename it'}, or search with another --study"
    )
