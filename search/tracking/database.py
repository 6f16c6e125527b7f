"""MLflow's SQLite file, made whole or not at all, and its many tables only once a machine."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
from contextlib import closing
from importlib import metadata
from pathlib import Path

from search.system.files import exists
from search.system.lock import hold

_SECONDS = 60.0
_OPTION = "--store or --tracking-uri"
_DIGEST = hashlib.sha256
_log = logging.getLogger(__name__)


def database_file(uri: str) -> Path | None:
    """The file of a SQLite URI; None for another database, one in memory, or one named in SQLite's own `file:` form."""
    name = uri.removeprefix("sqlite:///")
    if name == uri or set("?%") & set(name):
        if not uri.startswith("sqlite"):
            return None
        from sqlalchemy.engine import make_url  # a quarter of a second, and the store's own URI does not need it
        from sqlalchemy.exc import ArgumentError

        try:
            name = make_url(uri).database or ""
        except ArgumentError:
            return None  # MLflow says what is wrong with it
    return None if name in ("", ":memory:") or name.startswith("file:") else Path(name)


def is_in_memory(uri: str) -> bool:
    """Whether it is a SQLite URI without a file."""
    nameless = uri.rstrip("/").endswith(":")
    return uri.startswith("sqlite") and (nameless or ":memory:" in uri or "mode=memory" in uri)


def create_database(path: Path) -> None:
    """Make the file if there is none: beside its place, and moved there when all its tables are made.

    MLflow makes them in dozens of steps, two seconds of work. A process that dies among them, or a second one that
    makes them at the same time, would leave a database that no MLflow can open. So that later stores need not wait, an
    empty one is kept in the user's cache folder.
    """
    if exists(path, _OPTION):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with hold(path.with_name(f"{path.name}.lock"), wait=_SECONDS):
        if exists(path, _OPTION):
            return
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.unlink(missing_ok=True)
        try:
            _make(unfinished)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)  # on a full disk it would be in the way of the results


def _make(path: Path) -> None:
    empty = _read_empty()
    if empty is not None:
        with open(path, "wb") as file:
            file.write(empty)
            file.flush()
            os.fsync(file.fileno())
        return
    _migrate(path)
    _keep_empty(path)


def _migrate(path: Path) -> None:
    import mlflow

    for name in ("alembic", "mlflow.store.db.utils"):  # they tell of every table
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments(max_results=1)


def empty_database() -> Path:
    """Where the empty one is kept: the digest of the rest of the file, and the database.

    Raises: RuntimeError: there is no home folder.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "insects-search" / f"mlflow-{metadata.version('mlflow')}.db"


def takes_seconds(path: Path) -> bool:
    """Whether the file is still to be made, by MLflow.

    Raises: StoreError: that cannot be told.
    """
    return not exists(path, _OPTION) and _read_empty() is None


def _read_empty() -> bytes | None:
    try:
        content = empty_database().read_bytes()
    except (OSError, RuntimeError):
        return None
    size = _DIGEST().digest_size
    whole = _DIGEST(content[size:]).digest() == content[:size]
    return content[size:] if whole else None


def _keep_empty(database: Path) -> None:
    """Keep a copy without the experiment that MLflow begins with: it names a folder of this store."""
    copy = database.with_name(f"{database.name}.empty")
    try:
        copy.write_bytes(database.read_bytes())
        with closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute("DELETE FROM experiments")
        content = copy.read_bytes()
        place = empty_database()
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{os.getpid()}")
        temporary.write_bytes(_DIGEST(content).digest() + content)
        temporary.replace(place)
    except (OSError, RuntimeError, sqlite3.Error) as reason:  # the next store takes its two seconds again
        _log.info("the empty database cannot be kept: %s", reason)
    finally:
        copy.unlink(missing_ok=True)
