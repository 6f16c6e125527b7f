"""The best trial as a registered model, logged as a `torch.export` program: no pickle is written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from insects.errors import StoreError
from search import entries
from search.plan import digest
from search.results import StudyFolder
from search.store import Store, reaching
from search.tags import IDENTITY_TAG, STUDY_TAG, TRIAL_TAG
from search.temporary import check_room

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "best"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # how MLflow says that there is no such model or alias
DATA_TAG, LOSS_TAG, SEARCH_RUN_TAG = "insects.data", "insects.valid_loss", "insects.search_run"
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
    mere delivery leaves the alias where it is by now.
    Raises: StoreError: MLflow is away or broken.
    """
    client = store.client()
    with reaching(store.tracking_uri):
        version = _version_of(client, folder, number, name)
        if version is None:
            model_uri = _logged_model(client, folder, number, runs)
            version = _create_version(client, folder, number, runs, name, model_uri)
        compared = _COMPARED_TAG in version.tags
        registered = _move_alias(client, version, name, may_move=again or not compared)
        if not compared:
            client.set_model_version_tag(name, version.version, _COMPARED_TAG, "true")
        return registered


def _version_of(client: MlflowClient, folder: StudyFolder, number: int, name: str) -> ModelVersion | None:
    tags = {STUDY_TAG: folder.name, TRIAL_TAG: str(number), IDENTITY_TAG: digest(folder.identity())}
    wanted = [f"name = '{name}'", *(f"tags.`{key}` = '{value}'" for key, value in tags.items())]
    found = client.search_model_versions(" and ".join(wanted), max_results=1)
    return found[0] if found else None


def _logged_model(client: MlflowClient, folder: StudyFolder, number: int, runs: tuple[str, str, str]) -> str:
    """URI of the trial's logged model: the one that is there, else a new one."""
    from mlflow.entities import LoggedModelStatus

    wanted = f"tags.`{STUDY_TAG}` = '{folder.name}' AND tags.`{TRIAL_TAG}` = '{number}'"
    for model in client.search_logged_models([runs[0]], wanted):
        if model.status == LoggedModelStatus.READY:
            return str(model.model_uri)
        client.delete_logged_model(model.model_id)  # the export was interrupted
    return _log_model(folder, number, runs)


def _log_model(folder: StudyFolder, number: int, runs: tuple[str, str, str]) -> str:
    import mlflow
    import mlflow.pytorch
    import torch
    from mlflow.models import Model

    from search.program import build_program

    result = folder.load(number)
    if result is None:
        raise StoreError(f"trial {number} of study {folder.name} is no longer in {folder.path}")
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
        tags={STUDY_TAG: folder.name, TRIAL_TAG: number},
        metadata={
            **program.about,
            "params": asdict(result.params),
            "valid_loss": result.valid_loss,
            "data_digest": folder.identity()["data"]["digest"],
        },
    )
    return str(info.model_uri)


def _create_version(
    client: MlflowClient, folder: StudyFolder, number: int, runs: tuple[str, str, str], name: str, model_uri: str
) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    result = folder.load(number)
    assert result is not None, "it was logged just now"
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {
        STUDY_TAG: folder.name,
        TRIAL_TAG: str(number),
        IDENTITY_TAG: digest(folder.identity()),
        DATA_TAG: folder.identity()["data"]["digest"],
        LOSS_TAG: repr(result.valid_loss),
        SEARCH_RUN_TAG: runs[1],
    }
    return client.create_model_version(
        name,
        model_uri,
        run_id=runs[2],
        tags=tags,
        description=f"Study {folder.name} on {folder.source()}: {entries.trial_summary(result)}",
        model_id=model_uri.rpartition("/")[2],
        await_creation_for=0,
    )


def _move_alias(client: MlflowClient, version: ModelVersion, name: str, may_move: bool) -> Registered:
    from mlflow.exceptions import MlflowException

    try:
        holder = client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise  # away is not the same as without a best model
        holder = None
    if may_move:
        moves, note = _compare(holder, version)
    else:
        moves, note = False, f"version {version.version} was registered before"
    if moves:
        client.set_registered_model_alias(name, ALIAS, version.version)
    has_alias = moves or (holder is not None and holder.version == version.version)
    uri = f"models:/{name}@{ALIAS}" if has_alias else f"models:/{name}/{version.version}"
    return Registered(name, str(version.version), ALIAS if has_alias else "", uri, note)


def _compare(holder: ModelVersion | None, version: ModelVersion) -> tuple[bool, str]:
    """Whether the alias moves from `holder` to `version`, and what to say of it."""
    if holder is None:
        return True, f"version {version.version} is now {ALIAS}"
    if holder.version == version.version:
        return False, f"version {version.version} is {ALIAS} already"
    if holder.tags.get(DATA_TAG) != version.tags[DATA_TAG]:
        return True, f"version {version.version} is now {ALIAS}: version {holder.version} was for other data"
    before, after = float(holder.tags[LOSS_TAG]), float(version.tags[LOSS_TAG])
    if after < before:
        return True, f"version {version.version} is now {ALIAS}: loss {after:.4f}, was {before:.4f}"
    return (
        False,
        f"version {holder.version} stays {ALIAS}: loss {before:.4f}, version {version.version} has {after:.4f}",
    )
