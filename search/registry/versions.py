"""The winner of a study as a version of a registered model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from insects.errors import StoreError
from insects.objective import metric_name
from search.registry.alias import RegisteredModel, move_alias
from search.registry.logged_models import find_logged_model, log_model
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.winner import TrainedModel, load_model, model_title
from search.tracking.client import mlflow_client, mlflow_errors
from search.tracking.experiment import deleted_in_mlflow
from search.tracking.notes import model_note, version_note
from search.tracking.tags import (
    ALIAS_DECIDED_TAG,
    DATA_TAG,
    FOLDS_TAG,
    JUDGED_BY_TAG,
    METRIC_TAG,
    OBJECTIVE_TAG,
    REGISTERED_TAG,
    SEARCH_ID_TAG,
    SEARCH_RUN_TAG,
    STUDY_TAG,
    TRIAL_TAG,
)
from search.tracking.trial_runs import RunIds

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion


def register(
    store: Store, folder: StudyFolder, number: int, folds: int, runs: RunIds, name: str, recompare: bool = True
) -> RegisteredModel | None:
    """Register the model of a trial or a finalist once, and let the alias follow the better model.

    Args:
        store: The store that the study is in.
        folder: The study.
        number: The trial.
        folds: The folds of the final that chose it; 0: the trial's own network is registered.
        runs: The runs of the model.
        name: The registered model.
        recompare: Whether a version that was compared with the alias's holder before is compared again. A search
            does so, since the alias may have moved to other data; an upload leaves the alias where it is.

    Returns:
        The version; None if a person has deleted it.

    Raises:
        StoreError: MLflow does not answer, or the model's networks or its run are gone.
    """
    client = mlflow_client(store)
    model = load_model(folder, number, folds)
    if model is None:
        raise StoreError(f"{model_title(number, folds)} of study {folder.name} is no longer in {folder.path}")
    tags = _version_tags(folder, model, runs.search)
    with mlflow_errors(store.tracking_uri):
        version = _find_version(client, name, tags)
    if version is None:
        version = _create_version(client, folder, model, runs, name, tags)
    if version is None:
        return None
    with mlflow_errors(store.tracking_uri):
        is_decided = ALIAS_DECIDED_TAG in version.tags
        registered = move_alias(client, name, str(version.version), tags, may_move=recompare or not is_decided)
        if not is_decided:  # last, so that an interrupted registration is completed
            names = {name, *_registered_as(client.get_run(runs.model))}
            client.set_tag(runs.model, REGISTERED_TAG, " ".join(sorted(names)))
            client.set_model_version_tag(name, version.version, ALIAS_DECIDED_TAG, "true")
        return registered


def _version_tags(folder: StudyFolder, model: TrainedModel, search_run: str) -> dict[str, str]:
    # MLflow's list of versions shows them in this order: what people read first, ids and digests last.
    return {
        STUDY_TAG: folder.name,
        TRIAL_TAG: str(model.number),
        FOLDS_TAG: str(model.folds),
        METRIC_TAG: _chosen_by(folder, model),
        JUDGED_BY_TAG: model.judged_by,
        OBJECTIVE_TAG: repr(model.objective),
        SEARCH_RUN_TAG: search_run,
        SEARCH_ID_TAG: folder.id,
        DATA_TAG: folder.fingerprint["data"]["rows"],
    }


def _chosen_by(folder: StudyFolder, model: TrainedModel) -> str:
    """Return what the model is the best in; losses with other class weights are another measure."""
    name = metric_name(model.metric)
    return f"class-balanced {name}" if model.metric == "loss" and folder.class_weight != "none" else name


def _find_version(client: MlflowClient, name: str, tags: dict[str, str]) -> ModelVersion | None:
    wanted = " and ".join(
        f"tags.`{key}` = '{tags[key]}'" for key in (SEARCH_ID_TAG, TRIAL_TAG, FOLDS_TAG, SEARCH_RUN_TAG)
    )
    found = client.search_model_versions(f"name = '{name}' and {wanted}")
    return min(found, key=lambda version: int(version.version), default=None)


def _create_version(
    client: MlflowClient, folder: StudyFolder, model: TrainedModel, runs: RunIds, name: str, tags: dict[str, str]
) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    with mlflow_errors(client.tracking_uri):
        run = client.get_run(runs.model)
        if run.info.lifecycle_stage == "deleted":
            raise deleted_in_mlflow(f"run {run.info.run_name} ({runs.model})", folder)
        if name in _registered_as(run):  # and there is no version: a person has deleted it
            return None
        model_uri = find_logged_model(client, runs)
    model_uri = model_uri or log_model(client, folder, model, runs)
    with mlflow_errors(client.tracking_uri):
        try:
            client.create_registered_model(name, description=model_note(folder, name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return client.create_model_version(
            name,
            model_uri,
            run_id=runs.model,
            tags=tags,
            description=version_note(folder, model),
            model_id=model_uri.rpartition("/")[2],
            await_creation_for=0,
        )


def _registered_as(trial: Run) -> list[str]:
    """Return the registered models that the trial's model was made a version of."""
    return str(trial.data.tags.get(REGISTERED_TAG, "")).split()
