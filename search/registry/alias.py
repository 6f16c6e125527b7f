"""The alias of the best model: which version of a registered model it is at, and when it moves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "best"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # how MLflow says that there is no such model or alias
DATA_TAG, LOSS_TAG = "insects.tables.labelled", "insects.valid_loss"
COMPARED_TAG = "insects.compared_with_best"


@dataclass(frozen=True)
class Registered:
    """A version in the registry. alias: `best` if it is this version's now, else empty. note: what became of it."""

    name: str
    version: str
    alias: str
    uri: str
    note: str


def move_alias(client: MlflowClient, name: str, version: str, tags: dict[str, str], may_move: bool) -> Registered:
    """Move the alias to a version with these tags, if it may and the version is better than the one that has it.

    A vacant one is taken in any case.
    """
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
            if str(other.version) != version and COMPARED_TAG in other.tags:
                client.delete_model_version_tag(name, other.version, COMPARED_TAG)
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
