"""Loading a registered model. No pickle is ever loaded, and no code that comes with a model."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects.errors import InsectsError, StoreError
from search.registry.alias import ABSENT
from search.registry.model_table import ModelTable
from search.store.store import Store
from search.tracking.client import mlflow_errors
from search.tracking.tags import DATA_TAG, SEARCH_RUN_TAG, STUDY_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PROGRAM = "model.pt2"


@dataclass(frozen=True)
class ModelContent:
    """What the files of a model hold.

    Attributes:
        classes: Names of the classes, in order.
        table: How rows of a table become those that the module takes; None: it takes images.
        images: `target`, `size` and `backbone` of a module that takes images; None: it takes rows.
        module: Takes float32 coded rows `(N, K)`, or uint8 images `(N, 3, H, W)`; returns logits `(N, C)`.
    """

    classes: tuple[str, ...]
    table: ModelTable | None
    images: dict[str, Any] | None
    module: Any


@dataclass(frozen=True, kw_only=True)
class LoadedModel(ModelContent):
    """A registered model, ready to predict.

    Attributes:
        name: The registered model.
        version: The version's number.
        model_id: The id of the logged model.
        run: The id of its trial's run.
        search_run: The id of its search's run.
        study: The name of its study.
        data_digest: The digest of the data that it was trained on.
    """

    name: str
    version: str
    model_id: str
    run: str
    search_run: str
    study: str
    data_digest: str

    @property
    def target(self) -> str:
        """The label column that it was trained on."""
        return self.table.target if self.table is not None else str((self.images or {})["target"])


def load_model(store: Store, client: MlflowClient, uri: str) -> LoadedModel:
    """Load a registered model without running any code or pickle that comes with it.

    Args:
        store: The store whose registry it is in.
        client: MLflow's client.
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        StoreError: There is no such model, it is not one of this program's, it needs pickle or code to load, or its
            files are damaged.
    """
    version = _find_version(store, client, uri)
    import mlflow
    from mlflow.models import get_model_info

    with mlflow_errors(store.tracking_uri), _file_errors(uri):
        info = get_model_info(f"models:/{version.name}/{version.version}")
        local = Path(mlflow.artifacts.download_artifacts(info.model_uri))
        content = read_model(uri, local)
    return LoadedModel(
        **vars(content),
        name=version.name,
        version=str(version.version),
        model_id=str(info.model_id or ""),  # MLflow does not return it for a version read from a database
        run=str(version.run_id),
        search_run=version.tags.get(SEARCH_RUN_TAG, ""),
        study=version.tags.get(STUDY_TAG, ""),
        data_digest=version.tags.get(DATA_TAG, ""),
    )


def read_model(uri: str, folder: Path) -> ModelContent:
    """Read the downloaded files of a model without running any code or pickle that comes with it.

    Args:
        uri: The model's URI, for the error message.
        folder: The files.

    Raises:
        StoreError: It is not one of this program's models, or needs pickle or code to load.
    """
    import mlflow.pytorch
    from mlflow.models import Model

    model = Model.load(str(folder))
    flavor, metadata = model.flavors.get("pytorch"), model.metadata or {}
    if flavor is None or "classes" not in metadata or not metadata.keys() & {"table", "images"}:
        raise StoreError(f"{uri} is not a model of insects-search: choose another --model")
    check_program(uri, folder, flavor)
    return ModelContent(
        classes=tuple(metadata["classes"]),
        table=ModelTable.from_metadata(metadata) if "table" in metadata else None,
        images=metadata.get("images"),
        module=mlflow.pytorch.load_model(str(folder)),
    )


def check_program(uri: str, folder: Path, flavor: dict[str, Any]) -> None:
    """Check that a downloaded model is one complete `torch.export` program and nothing else.

    Args:
        uri: The model's URI, for the error message.
        folder: The downloaded files.
        flavor: MLflow's description of the PyTorch flavor.

    Raises:
        StoreError: The model needs pickle or code to load.
        zipfile.BadZipFile: The program is damaged.
    """
    data = folder / str(flavor.get("model_data", "data"))
    files = {path.name for path in data.rglob("*") if path.is_file()}
    if not files:
        raise zipfile.BadZipFile(f"{PROGRAM} is missing")
    if files != {PROGRAM} or flavor.get("code"):
        found = ", ".join(sorted(files))
        raise StoreError(f"{uri} needs pickle or code to load (its data holds {found}): only pt2 models are evaluated")
    (program,) = data.rglob(PROGRAM)
    with zipfile.ZipFile(program) as archive:  # MLflow would take a damaged program for a pickle
        if min(entry.header_offset for entry in archive.infolist()) > 0:  # found by an inner archive's index
            raise zipfile.BadZipFile(f"{PROGRAM} has lost its end")
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} in {PROGRAM} is not what was written")


def _find_version(store: Store, client: MlflowClient, uri: str) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    scheme, _, path = uri.partition(":/")
    name, at, alias = path.partition("@")
    base, slash, number = path.partition("/")
    if scheme != "models" or not ((at and alias) or (slash and number.isdecimal())):
        raise StoreError(f"{uri!r} is not a model: write models:/NAME@ALIAS or models:/NAME/VERSION")
    with mlflow_errors(store.tracking_uri):
        try:
            return client.get_model_version_by_alias(name, alias) if at else client.get_model_version(base, number)
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            raise StoreError(
                f"there is no model {uri} in {store.shown_uri}: run insects-search first, or name its --store"
            ) from error


@contextmanager
def _file_errors(uri: str) -> Iterator[None]:
    """Raise StoreError for what missing and damaged files of a model raise; an absent MLflow's errors pass."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (InsectsError, OSError, ImportError, MemoryError):
        raise
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise _damaged(uri, error) from error
    except Exception as error:  # yaml, zipfile and torch raise a dozen types for damaged bytes
        raise _damaged(uri, error) from error


def _damaged(uri: str, error: Exception) -> StoreError:
    cause = " ".join(str(error).split())[:200]
    return StoreError(
        f"the files of {uri} are damaged ({cause}): restore them, choose another --model, or delete the version's "
        "logged model in MLflow and run the same insects-search command with another --model-name, which registers the "
        "best trial again"
    )
