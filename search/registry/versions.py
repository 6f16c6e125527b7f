"""The best trial as a version of a registered model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from insects.errors import StoreError
from insects.trial import TrialResult
from search.registry.alias import COMPARED_TAG, DATA_TAG, LOSS_TAG, Registered, move_alias
from search.registry.logged_models import Runs, TrialModels
from search.store.store import Store, reaching
from search.store.study_folder import StudyFolder
from search.study.config import digest
from search.tracking import run_values
from search.tracking.experiment import sees_files
from search.tracking.tags import IDENTITY_TAG, SEARCH_RUN_TAG, STUDY_TAG, TRIAL_TAG

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def register(store: Store, folder: StudyFolder, number: int, runs: Runs, name: str, again: bool = True) -> Registered:
    """Log the model of a finished trial, register it under `name` once, and let the alias follow the better model.

    again: whether a version that has been compared with the alias's holder is compared again. A search wants that: the
    alias may be at other data since. A mere delivery leaves the alias where it is by now, unless nothing carries it.
    Raises: StoreError: MLflow is away or broken.
    """
    client = store.client()
    result = folder.load(number)
    if result is None:
        raise StoreError(f"trial {number} of study {folder.name} is no longer in {folder.path}")
    tags = _version_tags(folder, result, runs.search)
    with reaching(store.tracking_uri):
        models = TrialModels(client, folder, result, runs, sees_files(client, store, folder, runs.experiment))
        version = _settled_version(models, name, tags)
        if version is None:
            model_uri = min(models.usable(models.all()), default=None) or models.log()
            _create_version(models, name, tags, model_uri)
            version = _settled_version(models, name, tags)
        if version is None:
            raise StoreError(f"the model of trial {number} of study {folder.name} was deleted as it was registered")
        compared = COMPARED_TAG in version.tags
        for key, value in tags.items():  # the search's run may be another one by now, or a tag was changed by hand
            if version.tags.get(key) != value:
                client.set_model_version_tag(name, version.version, key, value)
        registered = move_alias(client, name, str(version.version), tags, may_move=again or not compared)
        if not compared:
            client.set_model_version_tag(name, version.version, COMPARED_TAG, "true")
        return registered


def _version_tags(folder: StudyFolder, result: TrialResult, search_run: str) -> dict[str, str]:
    """What a version says of itself; it is found by the first three."""
    identity = folder.identity()
    return {
        STUDY_TAG: folder.name,
        TRIAL_TAG: str(result.number),
        IDENTITY_TAG: digest(identity),
        DATA_TAG: identity["data"]["digest"],
        LOSS_TAG: repr(result.valid_loss),
        SEARCH_RUN_TAG: search_run,
    }


def _settled_version(models: TrialModels, name: str, tags: dict[str, str]) -> ModelVersion | None:
    """The trial's version. Of several, which two stores made at once, the first stays, with its model alone.

    Versions are numbered in the order in which they are made, so whoever makes one and looks sees an earlier one. One
    whose model is damaged, or of a run that is no longer the trial's, goes as well, once there is a better one.
    """
    client = models.client
    found_by = " and ".join(f"tags.`{key}` = '{tags[key]}'" for key in (STUDY_TAG, TRIAL_TAG, IDENTITY_TAG))
    versions = list(client.search_model_versions(found_by))
    logged = models.all()
    usable = models.usable(logged)
    candidates = [version for version in versions if version.name == name and version.source in usable]
    if not candidates:
        return None
    kept = min(candidates, key=lambda version: int(version.version))
    for version in versions:
        if version.name == name and version is not kept:
            client.delete_model_version(name, version.version)
    sources = {kept.source, *(version.source for version in versions if version.name != name)}
    for model in logged:
        if model.model_uri not in sources:
            client.delete_logged_model(model.model_id)
    return kept


def _create_version(models: TrialModels, name: str, tags: dict[str, str], model_uri: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        models.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = models.folder.source()
    models.client.create_model_version(
        name,
        model_uri,
        run_id=models.runs.trial,
        tags=tags,
        description=f"Study {models.folder.name} on {source}: {run_values.trial_summary(models.result)}",
        model_id=model_uri.rpartition("/")[2],
        await_creation_for=0,
    )
