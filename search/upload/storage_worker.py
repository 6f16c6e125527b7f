"""The worker that writes finished trials to a database of Optuna's while the search goes on."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import IO

from insects.errors import StoreError
from search.store.store import Store
from search.study.optuna_database import OptunaDatabase
from search.system.lock import LockHeldError, hold

RETRY_SECONDS = 15.0
LOCK_SECONDS = 60.0
_LOCK = "storage.lock"


class StorageWorker:
    """Writes one study at a time. While the database does not answer, it tries again every `RETRY_SECONDS`.

    Args:
        store: The folder of the store.
        tracking_uri: The tracking URI.
        url: The database, with its driver.
    """

    def __init__(self, store: str, tracking_uri: str, url: str) -> None:
        self._store, self._url = Store(Path(store), tracking_uri), url
        self._study = ""
        self._lock: IO[str] | None = None
        self._database: OptunaDatabase | None = None
        self._away_until = -math.inf

    def warm_up(self) -> None:
        """Import the libraries, while the search still reads its data."""
        import optuna.storages  # noqa: F401 - imported for later use, as is the next module
        import sqlalchemy  # noqa: F401

    def open(self, study: str) -> str:
        """Choose the study, and take its lease.

        Returns:
            Who else searches the study, as one line; empty if nobody does.

        Raises:
            StoreError: The database does not answer.
        """
        self.close()
        self._study, self._away_until = study, -math.inf
        from search.study.lease import LeaseHeldError

        try:
            self._lock = hold(self._store.study(study).path / _LOCK, wait=LOCK_SECONDS)
            self._write(-1)
        except LeaseHeldError as error:
            return str(error)
        except LockHeldError as error:
            return f"study {study} is being written to the database by {error.holder}: wait for it"
        return ""

    def add(self, number: int) -> None:
        """Write the trials up to `number`, if the database has answered lately."""
        if time.monotonic() >= self._away_until:
            self._write(number)

    def add_missing(self) -> None:
        """Write all finished trials up to the first one that is missing."""
        finished = self._store.study(self._study).numbers()
        last = next((place for place, number in enumerate(finished) if place != number), len(finished)) - 1
        self._write(last)

    def close(self) -> None:
        """Free the study for other coordinators; nothing is added until the next `open`."""
        database, self._database = self._database, None
        self._away_until = math.inf
        try:
            if database is not None:
                database.close()
        finally:
            if self._lock is not None:
                self._lock.close()
            self._lock = None

    def _write(self, number: int) -> None:
        try:
            self._lock = self._lock or hold(self._store.study(self._study).path / _LOCK)
            if self._database is None:
                self._database = self._connect()
            self._database.add_up_to(number)
        except StoreError:
            if self._database is not None:  # an answer may have been lost: count again what is there
                self._database.abandon()
            self._database, self._away_until = None, time.monotonic() + RETRY_SECONDS
            raise
        self._away_until = -math.inf

    def _connect(self) -> OptunaDatabase:
        from search.study.lease import Holder, LeaseHeldError

        folder = self._store.study(self._study)
        holder = Holder(self._store.place, folder.id)
        try:
            return OptunaDatabase(self._url, folder, holder)
        except LeaseHeldError:
            raise
        except StoreError:  # two searches that create the tables at once: one of them is refused
            time.sleep(1.0)
            return OptunaDatabase(self._url, folder, holder)
