"""Loading a registered model. No pickle is ever loaded, and no code that comes with a model."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from insects.errors import InsectsError, StoreError
from insects.program import Program, read_program, torch_program
from search.registry.alias import ABSENT
from search.registry.model_table import ModelTable
from search.store.store import Store
from search.tracking.client import connect, mlflow_errors, set_environment
from search.tracking.database_reads import VersionRecord, find_version
from search.tracking.tags import DATA_TAG, SEARCH_RUN_TAG, STUDY_TAG

PROGRAM = "model.pt2"


@dataclass(frozen=True)
class ModelContent:
    """What the files of a model hold.

    Attributes:
        classes: Names of the classes, in order.
        table: How rows of a table become those that the module takes; None: it takes images.
        images: `target`, `size` and `backbone` of a module that takes images; None: it takes rows.
        program: The program.
        model_id: The id of the logged model.
    """

    classes: tuple[str, ...]
    table: ModelTable | None
    images: dict[str, Any] | None
    program: Program
    model_id: str


@dataclass(frozen=True, kw_only=True)
class LoadedModel(ModelContent):
    """A registered model, ready to predict.

    Attributes:
        name: The registered model.
        version: The version's number.
        run: The id of its trial's run.
        search_run: The id of its search's run.
        study: The name of its study.
        data_digest: The digest of the data that it was trained on.
        files: The folder of its files.
    """

    name: str
    version: str
    run: str
    search_run: str
    study: str
    data_digest: str
    files: Path

    @property
    def target(self) -> str:
        """The label column that it was trained on."""
        return self.table.target if self.table is not None else str((self.images or {})["target"])


def load_model(store: Store, uri: str) -> LoadedModel:
    """Load a registered model without running any code or pickle that comes with it.

    Args:
        store: The store whose registry it is in.
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        StoreError: There is no such model, it is not one of this program's, it needs pickle or code to load, or its
            files are damaged.
    """
    name, alias, number = _parts(uri)
    version = find_version(store, name, alias, number) or _download_version(store, uri, name, alias, number)
    return _load_version(uri, version, _run_by_torch)


def load_local_model(store: Store, uri: str) -> LoadedModel | None:
    """Load a registered model as `load_model` does, but import neither torch nor MLflow.

    Args:
        store: The store whose registry it is in.
        uri: `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Returns:
        The model; None where only `load_model` can load it, or can say why nothing can.

    Raises:
        StoreError: It is not one of this program's, it needs pickle or code to load, or its files are damaged.
    """
    version = find_version(store, *_parts(uri))
    if version is None:
        return None
    try:
        return _load_version(uri, version, _refuse_torch)
    except _NeedsTorchError:
        return None


class _NeedsTorchError(InsectsError):
    """Only torch can run the program."""


def _refuse_torch(folder: Path) -> Program:
    raise _NeedsTorchError(str(folder))


def _load_version(uri: str, version: VersionRecord, run_by_torch: Callable[[Path], Program]) -> LoadedModel:
    try:
        with _file_errors(uri):
            content = read_model(uri, version.files, run_by_torch)
    except OSError as error:
        raise StoreError(f"cannot read the files of {uri}: {error}; mend that, or choose another --model") from error
    return LoadedModel(
        **vars(content),
        name=version.name,
        version=version.version,
        run=version.run,
        search_run=version.tags.get(SEARCH_RUN_TAG, ""),
        study=version.tags.get(STUDY_TAG, ""),
        data_digest=version.tags.get(DATA_TAG, ""),
        files=version.files,
    )


def _run_by_torch(folder: Path) -> Program:
    """Load a program with what only torch can run, such as a backbone."""
    set_environment()  # it forbids pickle
    import mlflow.pytorch

    return torch_program(mlflow.pytorch.load_model(str(folder)))


def read_model(uri: str, folder: Path, run_by_torch: Callable[[Path], Program] = _run_by_torch) -> ModelContent:
    """Read the downloaded files of a model without running any code or pickle that comes with it.

    Args:
        uri: The model's URI, for the error message.
        folder: The files.
        run_by_torch: Loads, from the folder, a program with what only torch can run.

    Raises:
        StoreError: It is not one of this program's models, or needs pickle or code to load.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the first is fast, and not in every build
    model = yaml.load((folder / "MLmodel").read_text(encoding="utf-8"), loader)  # noqa: S506 - both are safe
    flavor, metadata = model["flavors"].get("pytorch"), model.get("metadata") or {}
    if flavor is None or "classes" not in metadata or not metadata.keys() & {"table", "images"}:
        raise StoreError(f"{uri} is not a model of insects-search: choose another --model")
    program = check_program(uri, folder, flavor)
    table = ModelTable.from_metadata(metadata) if "table" in metadata else None
    return ModelContent(
        classes=tuple(metadata["classes"]),
        table=table,
        images=metadata.get("images"),
        program=read_program(program, None if table is None else table.encoder) or run_by_torch(folder),
        model_id=str(model.get("model_id") or ""),
    )


def check_program(uri: str, folder: Path, flavor: dict[str, Any]) -> Path:
    """Return the file of a downloaded model, which is one complete `torch.export` program and nothing else.

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
    return program


def _parts(uri: str) -> tuple[str, str, str]:
    """Return name, alias and number of a model; one of the last two is empty."""
    scheme, _, path = uri.partition(":/")
    name, at, alias = path.partition("@")
    base, slash, number = path.partition("/")
    if scheme == "models" and at and alias:
        return name, alias, ""
    if scheme == "models" and slash and number.isdecimal():
        return base, "", number
    raise StoreError(f"{uri!r} is not a model: write models:/NAME@ALIAS or models:/NAME/VERSION")


def _download_version(store: Store, uri: str, name: str, alias: str, number: str) -> VersionRecord:
    """Find a version by MLflow's client, and download its files."""
    client = connect(store)
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.models import get_model_info

    with mlflow_errors(store.tracking_uri):
        try:
            version = (
                client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, number)
            )
        except MlflowException as error:
            if error.error_code not in ABSENT:
                raise
            raise StoreError(
                f"there is no model {uri} in {store.shown_uri}: run insects-search first, or name its --store"
            ) from error
        try:
            with _file_errors(uri, MlflowException):
                info = get_model_info(f"models:/{version.name}/{version.version}")
                files = Path(mlflow.artifacts.download_artifacts(info.model_uri))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise _damaged(uri, error) from error
    return VersionRecord(version.name, str(version.version), str(version.run_id), dict(version.tags), files)


@contextmanager
def _file_errors(uri: str, *passed: type[Exception]) -> Iterator[None]:
    """Raise StoreError for what damaged files of a model raise, but not for errors of the surroundings and `passed`."""
    kept: tuple[type[Exception], ...] = (InsectsError, OSError, ImportError, MemoryError, *passed)
    try:
        yield
    except kept:
        raise
    except Exception as error:  # yaml, zipfile and torch raise a dozen types for damaged bytes
        raise _damaged(uri, error) from error


def _damaged(uri: str, error: Exception) -> StoreError:
    cause = " ".join(str(error).split())[:200]
    return StoreError(
        f"the files of {uri} are damaged ({cause}): restore them, choose another --model, or delete the version's "
        "logged model in MLflow and run the same insects-search command with another --model-name, which registers the "
        "best trial again"
    )
