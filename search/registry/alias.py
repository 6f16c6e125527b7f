"""The alias `best` of a registered model: which version has it, and when it moves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from insects.objective import metric_name
from insects.text import metric_text
from search.store.store import Store
from search.study.winner import OUT_OF_FOLD
from search.tracking.tags import DATA_TAG, JUDGED_BY_TAG, METRIC_TAG, OBJECTIVE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

ALIAS = "best"
LOSS = metric_name("loss")
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""Error codes with which MLflow says that there is no such model or alias."""


@dataclass(frozen=True)
class RegisteredModel:
    """A version in the registry.

    Attributes:
        name: The registered model.
        version: The version's number.
        alias: `best` if this version has the alias, else empty.
        uri: The URI to load it by.
        note: One line about the version and the alias, for people.
    """

    name: str
    version: str
    alias: str
    uri: str
    note: str


def last_model(store: Store) -> str:
    """Return the name of the registered model of the study that was searched last in a store.

    Args:
        store: The store. One that was never searched has the built-in table's model, as a server may.
    """
    last = store.last_study()
    return "insects-mlp" if last is None else last.model_name


def best_uri(model_name: str) -> str:
    """Return the URI of the version that has the alias."""
    return f"models:/{model_name}@{ALIAS}"


def move_alias(client: MlflowClient, name: str, version: str, tags: dict[str, str], may_move: bool) -> RegisteredModel:
    """Move the alias to a version if it is better than the version that has the alias, or no version has it.

    Args:
        client: MLflow's client.
        name: The registered model.
        version: The version.
        tags: Its tags.
        may_move: Whether the alias may move at all; False only describes where it is.
    """
    from mlflow.exceptions import MlflowException

    try:
        holder = client.get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        holder = None
    moves, note = False, f"version {version} was registered before"
    if may_move:
        moves, note = _compare(holder, version, tags)
    if moves:
        client.set_registered_model_alias(name, ALIAS, version)
    has_alias = moves or (holder is not None and str(holder.version) == version)
    uri = best_uri(name) if has_alias else f"models:/{name}/{version}"
    return RegisteredModel(name, version, ALIAS if has_alias else "", uri, note)


def _compare(holder: ModelVersion | None, version: str, tags: dict[str, str]) -> tuple[bool, str]:
    """Return whether the alias moves from `holder` to the version with these tags, and a note about it."""
    if holder is None:
        return True, f"version {version} is now {ALIAS}"
    if str(holder.version) == version:
        return False, f"version {version} is {ALIAS} already"
    if holder.tags.get(DATA_TAG) != tags[DATA_TAG]:
        return True, f"version {version} is now {ALIAS}: version {holder.version} was for other data"
    metric, other = tags[METRIC_TAG], holder.tags.get(METRIC_TAG)
    if other is None:
        return True, f"version {version} is now {ALIAS}: version {holder.version} does not say what it was chosen by"
    if metric != other:
        return True, f"version {version} is now {ALIAS}: it was chosen by {metric}, version {holder.version} by {other}"
    judged_by = holder.tags.get(JUDGED_BY_TAG)
    if judged_by != tags[JUDGED_BY_TAG]:
        if judged_by == OUT_OF_FOLD:
            return False, (
                f"version {holder.version} stays {ALIAS}: a final has chosen it, and version {version} had none"
            )
        return True, (
            f"version {version} is now {ALIAS}: version {holder.version} was judged {judged_by or 'otherwise'}, and "
            f"this one {tags[JUDGED_BY_TAG]}"
        )
    before, after = _finite(holder.tags.get(OBJECTIVE_TAG, "")), float(tags[OBJECTIVE_TAG])
    if before is None:
        return True, f"version {version} is now {ALIAS}: version {holder.version} does not say its {metric}"
    name = metric if metric.endswith(LOSS) else f"1 - {metric}"
    if after < before:
        return True, f"version {version} is now {ALIAS}: {name} {metric_text(after)}, was {metric_text(before)}"
    held = f"version {holder.version} stays {ALIAS}: {name} {metric_text(before)}"
    return False, f"{held}, version {version} has {metric_text(after)}"


def _finite(text: str) -> float | None:
    """Return the number in a tag; None if the tag was removed, or edited to something else."""
    try:
        loss = float(text)
    except ValueError:
        return None
    return loss if math.isfinite(loss) else None
