"""The best trial as a registered model, logged as a `torch.export` program: no pickle is written."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from insects.errors import StoreError
from insects.trial import TrialResult
from search import entries
from search.plan import digest
from search.results import StudyFolder
from search.store import Store, reaching
from search.tags import IDENTITY_TAG, SEARCH_RUN_TAG, STUDY_TAG, TRIAL_TAG
from search.temporary import check_room

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "best"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # how MLflow says that there is no such model or alias
DATA_TAG, LOSS_TAG = "insects.data", "insects.valid_loss"
_COMPARED_TAG = "insects.compared_with_best"


@dataclass(frozen=True)
class Registered:
    """A version in the registry. alias: `best` if it is this version's now, else empty. note: what became of it."""

    name: str
    version: str
    alias: str
    uri: str
    note: str


def register(
    store: Store, folder: StudyFolder, number: int, runs: tuple[str, str, str], name: str, again: bool = True
) -> Registered:
    """Log the model of a finished trial, register it under `name` once, and let the alias follow the better model.

    runs: ids of the experiment, of the search's run and of the trial's run. again: whether a version that has been
    compared with the alias's holder is compared again. A search wants that: the alias may be at other data since. A
    mere delivery leaves the alias where it is by now, unless nothing carries it.
    Raises: StoreError: MLflow is away or broken.
    """
    client = store.client()
    result = folder.load(number)
    if result is None:
        raise StoreError(f"trial {number} of study {folder.name} is no longer in {folder.path}")
    tags = _version_tags(folder, result, runs[1])
    with reaching(store.tracking_uri):
        version = _settled_version(client, name, tags, runs)
        if version is None:
            model_uri = min(_usable(client, _logged_models(client, tags, runs[0]), runs[2]), default=None)
            model_uri = model_uri or _log_model(folder, result, runs)
            _create_version(client, folder, result, runs[2], name, tags, model_uri)
            version = _settled_version(client, name, tags, runs)
        if version is None:
            raise StoreError(f"the model of trial {number} of study {folder.name} was deleted as it was registered")
        compared = _COMPARED_TAG in version.tags
        for key, value in tags.items():  # the search's run may be another one by now, or a tag was changed by hand
            if version.tags.get(key) != value:
                client.set_model_version_tag(name, version.version, key, value)
        registered = _move_alias(client, name, str(version.version), tags, may_move=again or not compared)
        if not compared:
            client.set_model_version_tag(name, version.version, _COMPARED_TAG, "true")
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


def _settled_version(
    client: MlflowClient, name: str, tags: dict[str, str], runs: tuple[str, str, str]
) -> ModelVersion | None:
    """The trial's version. Of several, which two stores made at once, the first stays, with its model alone.

    Versions are numbered in the order in which they are made, so whoever makes one and looks sees an earlier one. One
    whose model is damaged, or of a run that is no longer the trial's, goes as well, once there is a better one.
    """
    found_by = " and ".join(f"tags.`{key}` = '{tags[key]}'" for key in (STUDY_TAG, TRIAL_TAG, IDENTITY_TAG))
    versions = list(client.search_model_versions(found_by))
    models = _logged_models(client, tags, runs[0])
    usable = _usable(client, models, runs[2])
    candidates = [version for version in versions if version.name == name and version.source in usable]
    if not candidates:
        return None
    kept = min(candidates, key=lambda version: int(version.version))
    for version in versions:
        if version.name == name and version is not kept:
            client.delete_model_version(name, version.version)
    sources = {kept.source, *(version.source for version in versions if version.name != name)}
    for model in models:
        if model.model_uri not in sources:
            client.delete_logged_model(model.model_id)
    return kept


def _logged_models(client: MlflowClient, tags: dict[str, str], experiment_id: str) -> list[LoggedModel]:
    wanted = " AND ".join(f"tags.`{key}` = '{tags[key]}'" for key in (STUDY_TAG, TRIAL_TAG))
    return list(client.search_logged_models([experiment_id], wanted))


def _usable(client: MlflowClient, models: list[LoggedModel], run_id: str) -> set[str]:
    """URIs of the models whose export reached its end, whose files are still there, and which are of that run."""
    from mlflow.entities import LoggedModelStatus

    def is_whole(model: LoggedModel) -> bool:
        files = [file for path in (None, "data") for file in client.list_logged_model_artifacts(model.model_id, path)]
        return {"MLmodel", "data/model.pt2"} <= {file.path for file in files}

    ready = [model for model in models if model.status == LoggedModelStatus.READY and model.source_run_id == run_id]
    return {str(model.model_uri) for model in ready if is_whole(model)}


def _log_model(folder: StudyFolder, result: TrialResult, runs: tuple[str, str, str]) -> str:
    import mlflow
    import mlflow.pytorch
    import torch
    from mlflow.models import Model

    from search.program import build_program

    program = build_program(folder, result)
    check_room(program.size)  # torch ends the process where it cannot write a program to its end
    mlflow.set_experiment(experiment_id=runs[0])
    info = Model.log(
        artifact_path=None,
        name="model",
        flavor=mlflow.pytorch,
        run_id=runs[2],
        step=result.best_epoch,
        pytorch_model=program.module,
        signature=program.signature,
        input_example=program.example,
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", f"numpy=={np.__version__}"],
        serialization_format="pt2",
        validate_serving_input=False,
        tags={STUDY_TAG: folder.name, TRIAL_TAG: result.number},
        metadata={
            **program.about,
            "params": asdict(result.params),
            "valid_loss": result.valid_loss,
            "data_digest": folder.identity()["data"]["digest"],
        },
    )
    return str(info.model_uri)


def _create_version(
    client: MlflowClient,
    folder: StudyFolder,
    result: TrialResult,
    run_id: str,
    name: str,
    tags: dict[str, str],
    model_uri: str,
) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    client.create_model_version(
        name,
        model_uri,
        run_id=run_id,
        tags=tags,
        description=f"Study {folder.name} on {folder.source()}: {entries.trial_summary(result)}",
        model_id=model_uri.rpartition("/")[2],
        await_creation_for=0,
    )


def _move_alias(client: MlflowClient, name: str, version: str, tags: dict[str, str], may_move: bool) -> Registered:
    from mlflow.exceptions import MlflowException

    try:
        holder = client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise  # away is not the same as without a best model
        holder = None
    if holder is None and not may_move:  # deleted by hand: it goes to the best of those that are delivered from now on
        may_move = True
        for other in client.search_model_versions(f"name = '{name}'"):
            if str(other.version) != version and _COMPARED_TAG in other.tags:
                client.delete_model_version_tag(name, other.version, _COMPARED_TAG)
    if may_move:
        moves, note = _compare(holder, version, tags)
    else:
        moves, note = False, f"version {version} was registered before"
    if moves:
        client.set_registered_model_alias(name, ALIAS, version)
    has_alias = moves or (holder is not None and str(holder.version) == version)
    uri = f"models:/{name}@{ALIAS}" if has_alias else f"models:/{name}/{version}"
    return Registered(name, version, ALIAS if has_alias else "", uri, note)


def _compare(holder: ModelVersion | None, version: str, tags: dict[str, str]) -> tuple[bool, str]:
    """Whether the alias moves from `holder` to the version with these tags, and what to say of it."""
    if holder is None:
        return True, f"version {version} is now {ALIAS}"
    if str(holder.version) == version:
        return False, f"version {version} is {ALIAS} already"
    if holder.tags.get(DATA_TAG) != tags[DATA_TAG]:
        return True, f"version {version} is now {ALIAS}: version {holder.version} was for other data"
    before, after = _loss(holder.tags.get(LOSS_TAG, "")), float(tags[LOSS_TAG])
    if before is None:
        return True, f"version {version} is now {ALIAS}: version {holder.version} does not say its loss"
    if after < before:
        return True, f"version {version} is now {ALIAS}: loss {after:.4f}, was {before:.4f}"
    return False, f"version {holder.version} stays {ALIAS}: loss {before:.4f}, version {version} has {after:.4f}"


def _loss(text: str) -> float | None:
    """The loss that a version says it has; None if its tag was removed, or changed to what is none."""
    try:
        loss = float(text)
    except ValueError:
        return None
    return loss if math.isfinite(loss) else None
