"""The way back from the registry to a model that predicts. No pickle is ever loaded, and no code that comes with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects.errors import StoreError
from search.registry.alias import ABSENT
from search.registry.model_files import check_program, reading_model_files
from search.store.store import Store, reaching
from search.tracking.tags import SEARCH_RUN_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class LoadedModel:
    """A model of the registry, ready to predict.

    module: float32 rows `(N, F)` in the order of `features`, as the user has them, to logits `(N, C)` of `classes`.
    images: None; or `size` and `backbone` of a module that takes uint8 images `(N, 3, H, W)` in place of rows.
    run, search_run: ids of the MLflow runs of its trial and of its search.
    """

    name: str
    version: str
    model_id: str
    features: tuple[str, ...]
    classes: tuple[str, ...]
    images: dict[str, Any] | None
    module: Any
    run: str
    search_run: str


def load_model(store: Store, client: MlflowClient, uri: str) -> LoadedModel:
    """Load a registered model without running any code or pickle that comes with it.

    uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
    Raises: StoreError: no such model, not one of this program's, one that needs pickle or code to load, or damaged.
    """
    version = _find_version(store, client, uri)
    import mlflow
    import mlflow.pytorch
    from mlflow.models import get_model_info

    with reaching(store.tracking_uri), reading_model_files(uri):
        info = get_model_info(f"models:/{version.name}/{version.version}")
        flavor, metadata = info.flavors.get("pytorch"), info.metadata or {}
        if flavor is None or not {"features", "classes"} <= metadata.keys():
            raise StoreError(f"{uri} is not a model of insects-search: choose another --model")
        local = Path(mlflow.artifacts.download_artifacts(info.model_uri))
        check_program(uri, local, flavor)
        module = mlflow.pytorch.load_model(str(local))
    return LoadedModel(
        name=version.name,
        version=str(version.version),
        model_id=str(info.model_id or ""),  # a version read from a database does not know it
        features=tuple(metadata["features"]),
        classes=tuple(metadata["classes"]),
        images=metadata.get("images"),
        module=module,
        run=str(version.run_id),
        search_run=version.tags.get(SEARCH_RUN_TAG, ""),
    )


def _find_version(store: Store, client: MlflowClient, uri: str) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    scheme, _, path = uri.partition(":/")
    name, at, alias = path.partition("@")
    base, slash, number = path.partition("/")
    if scheme != "models" or not ((at and alias) or (slash and number.isdecimal())):
        raise StoreError(f"{uri!r} is not a model: write models:/NAME@ALIAS or models:/NAME/VERSION")
    with reaching(store.tracking_uri):
        try:
            return client.get_model_version_by_alias(name, alias) if at else client.get_model_version(base, number)
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            raise StoreError(
                f"there is no model {uri} in {store.shown_uri}: run insects-search first, or name its --store"
            ) from error
