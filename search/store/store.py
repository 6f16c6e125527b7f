"""The store: the folder that holds the studies, and the addresses of what shows them."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from insects.errors import StoreError
from search.store.storage_url import storage_url
from search.store.study_folder import StudyFolder
from search.store.tracking_uri import SERVERS, check_uri, database_file, is_in_memory, without_password
from search.system import files
from search.system.files import exists, listing, resolved


@dataclass(frozen=True)
class Store:
    """A folder of studies, and the services that show them.

    Attributes:
        path: The folder, absolute.
        tracking_uri: Any MLflow tracking URI; by default the folder's own SQLite file.
        storage: The database, with its driver, that trials are written to for dashboards; None: the folder's journal.
    """

    path: Path
    tracking_uri: str
    storage: str | None = None

    @classmethod
    def at(cls, path: Path, tracking_uri: str | None = None, storage: str | None = None) -> Store:
        """Return the store in a folder, which need not exist yet.

        Args:
            path: The folder.
            tracking_uri: MLflow's URI; None: that of the environment, else the folder's own database.
            storage: The URL of a database of Optuna's; None: the folder's journal.

        Raises:
            StoreError: The folder cannot exist, its path cannot be part of a URI, or there is no database for a URI.
        """
        path = resolved(path)
        exists(path)
        if set("%?") & set(str(path)):  # MLflow and SQLAlchemy decode escapes once too often
            raise StoreError(f"the path of a store must hold neither % nor ?, found {path}: choose another --store")
        uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{path / 'mlflow.db'}"
        if is_in_memory(uri):  # each process of a search would have a database of its own
            raise StoreError(f"a database in memory keeps nothing, found {uri}: name a file, sqlite:///FILE")
        check_uri(uri)
        return cls(path, uri, None if storage is None else storage_url(storage))

    @property
    def shown_uri(self) -> str:
        """The tracking URI without its password."""
        return without_password(self.tracking_uri)

    @property
    def shown_storage(self) -> str:
        """Where Optuna's export is, without a password."""
        return str(self.journal) if self.storage is None else without_password(self.storage)

    @property
    def place(self) -> str:
        """The host and the folder, by which stores are told apart where several write to one server."""
        return f"{socket.gethostname()}:{self.path}"

    @property
    def journal(self) -> Path:
        """Optuna's journal file."""
        return self.path / "optuna.journal"

    @property
    def image_cache(self) -> Path:
        """The folder of pixels and features read from image files."""
        return image_cache(self.path)

    def study(self, name: str) -> StudyFolder:
        """Return the folder of a study."""
        return StudyFolder(self.path / "trials" / name)

    def studies(self) -> list[StudyFolder]:
        """Return every study in the store, by name.

        Raises:
            StoreError: The folder cannot be read.
        """
        folders = [StudyFolder(path) for path in listing(self.path / "trials", folders=True)]
        return [folder for folder in folders if folder.exists()]

    def record_search(self, study: str) -> None:
        """Remember which study was searched last."""
        files.write(self._last_search, study.encode())

    def last_study(self) -> StudyFolder | None:
        """Return the study that was searched last; None if none is known."""
        try:
            folder = self.study(self._last_search.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot read {self._last_search}: {error}; name the model with --model-name") from error
        return folder if folder.exists() else None

    @property
    def _last_search(self) -> Path:
        return self.path / "last_search"

    def artifact_location(self, experiment: str) -> str | None:
        """Return where a new experiment keeps its files; None lets a server decide."""
        return None if self.is_server else (self.path / "artifacts" / experiment).as_uri()

    @property
    def is_server(self) -> bool:
        """Whether MLflow is a server, and not a database that this program opens itself."""
        return self.tracking_uri.partition(":")[0].lower() in SERVERS

    @property
    def database(self) -> Path | None:
        """The SQLite file of MLflow; None if MLflow is something else."""
        return database_file(self.tracking_uri)

    def check_database(self) -> None:
        """Check that MLflow's SQLite file exists, since looking something up in it must not create it.

        Raises:
            StoreError: There is no such file yet.
        """
        if self.database is not None and not exists(self.database, "--store or --tracking-uri"):
            raise StoreError(f"there is nothing in {self.shown_uri} yet: run insects-search first, or name its --store")


def image_cache(path: Path) -> Path:
    """Return the folder of pixels and features read from image files, in the folder of a store."""
    return path / "images"
