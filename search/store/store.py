"""Where a store keeps things, and the way to its MLflow."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from insects.errors import StoreError
from search.store.study_folder import StudyFolder
from search.store.tracking_uri import SERVERS, check_uri, without_password
from search.system.files import exists, listing, resolved
from search.tracking.database import create_database, database_file, is_in_memory, takes_seconds

if TYPE_CHECKING:
    from mlflow import MlflowClient

# MLflow's own retries would send a request again whose answer was lost, and so create a run twice: here what may have
# been created is looked up before the next attempt. Its own time limit lets a call to an absent server block for long.
# Written in the background, a lost batch would leave a run that counts as whole. A pt2 file can hold a pickle, which
# MLflow looks for only where pickle is refused.
_FORCED = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
}
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_CONNECTIONS = 5  # to a database, 3 seconds in all; MLflow's own 10 take 100
_ATTEMPTS = 3

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Store:
    """A folder of results, and the MLflow they are shown in.

    tracking_uri: any MLflow tracking URI; the folder's own SQLite file by default.
    """

    path: Path
    tracking_uri: str

    @classmethod
    def at(cls, path: Path, tracking_uri: str | None = None) -> Store:
        """The store in a folder, with the tracking URI asked for, else of the environment, else the folder's own.

        Raises: StoreError: the folder cannot be there, its path cannot be part of a URI, or MLflow's is in memory or
        nothing that MLflow knows.
        """
        path = resolved(path)
        exists(path)
        _check_path(str(path))
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{path / 'mlflow.db'}"
        if is_in_memory(uri):  # each process of a search would have its own
            raise StoreError(f"a database in memory keeps nothing, found {uri}: name a file, sqlite:///FILE")
        check_uri(uri)
        return cls(path, uri)

    @property
    def shown_uri(self) -> str:
        """The tracking URI as it may be printed."""
        return without_password(self.tracking_uri)

    @property
    def journal(self) -> Path:
        """Optuna's journal."""
        return self.path / "optuna.journal"

    def study(self, name: str) -> StudyFolder:
        """The folder of a study."""
        return StudyFolder(self.path / "trials" / name)

    def studies(self) -> list[StudyFolder]:
        """Every study that has begun here, by name.

        Raises: StoreError: the folder cannot be read.
        """
        folders = [StudyFolder(path) for path in listing(self.path / "trials", folders=True)]
        return [folder for folder in folders if folder.exists()]

    def artifact_location(self, study: str) -> str | None:
        """Where a new experiment keeps its files; None lets a server decide."""
        return None if self.is_server else (self.path / "artifacts" / study).as_uri()

    @property
    def is_server(self) -> bool:
        """Whether MLflow is a server, and not a database that this program opens itself."""
        return self.tracking_uri.partition(":")[0].lower() in SERVERS

    @property
    def is_shared(self) -> bool:
        """Whether MLflow is not the folder's own, so that other stores may be writing there."""
        return self.database != self.path / "mlflow.db"

    @property
    def database(self) -> Path | None:
        """The SQLite file that MLflow is; None if MLflow is something else."""
        return database_file(self.tracking_uri)

    @property
    def begins_slowly(self) -> bool:
        """Whether MLflow has yet to make its file, which takes seconds.

        Raises: StoreError: that cannot be told.
        """
        return self.database is not None and takes_seconds(self.database)

    def check_begun(self) -> None:
        """Raises: StoreError: there is no MLflow file yet, and looking for something in it must not make one."""
        if self.database is not None and not exists(self.database, "--store or --tracking-uri"):
            raise StoreError(f"there is nothing in {self.shown_uri} yet: run insects-search first, or name its --store")

    def client(self) -> MlflowClient:
        """A client, with limits on how long a call may take.

        Raises: StoreError: the folder or the server cannot be reached.
        """
        os.environ.update({**_DEFAULTS, **os.environ, **_FORCED})
        os.environ.pop("MLFLOW_ACTIVE_MODEL_ID", None)  # it would claim the metrics of all runs
        with reaching(self.tracking_uri):
            import mlflow

            if not self.is_server:
                from mlflow.store.db import utils

                utils.MAX_RETRY_COUNT = _CONNECTIONS
            if self.database is not None:
                create_database(self.database)
            logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it raises what it logs
            mlflow.set_tracking_uri(self.tracking_uri)
            mlflow.set_registry_uri(self.tracking_uri)
            return mlflow.MlflowClient(self.tracking_uri)


def _check_path(path: str) -> None:
    """Raises: StoreError: MLflow would take it for another path."""
    if set("%?") & set(path):  # MLflow and SQLAlchemy undo escapes once too often
        raise StoreError(f"the path of a store must hold neither % nor ?, found {path}: choose another --store")
    encoding = sys.getfilesystemencoding().lower()
    is_utf8 = path == path.encode(errors="replace").decode()  # other bytes stand in it as surrogates
    if not path.isascii() and (encoding != "utf-8" or not is_utf8):  # MLflow takes the bytes of a URI for UTF-8
        raise StoreError(
            f"the path of a store must be ASCII, or UTF-8 in a UTF-8 locale, found {path} in {encoding}: "
            "set LC_ALL=C.UTF-8, or choose another --store"
        )


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Turn what an MLflow store answers when it is away or broken, or lacks its driver, into one line.

    Raises: StoreError: instead of MLflow's, requests' and SQLAlchemy's exceptions, and of what MLflow says of a setting
    in the environment that it cannot read.
    """
    try:
        import requests
        import sqlalchemy.exc
        from mlflow.exceptions import MlflowException

        away = (MlflowException, requests.RequestException, sqlalchemy.exc.SQLAlchemyError, OSError, ImportError)
        try:
            yield
        except away as error:
            place = without_password(uri)
            raise StoreError(f"MLflow at {place} does not answer as it should: {_one_line(error)}") from error
    except ValueError as error:
        if "MLFLOW_" not in str(error):
            raise
        raise StoreError(f"MLflow cannot read its settings: {_one_line(error)}; correct or unset it") from error


def _one_line(error: Exception) -> str:
    return without_password(" ".join(str(error).split()))[:300]


def insist(action: Callable[[], _Answer]) -> _Answer:
    """Try an action up to `_ATTEMPTS` times. It must look up what it makes before it makes it, so nothing doubles.

    Raises: StoreError: what the last attempt raised.
    """
    for attempt in range(_ATTEMPTS - 1):
        try:
            return action()
        except StoreError:
            time.sleep(2.0**attempt)
    return action()
