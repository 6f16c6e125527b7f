"""MLflow's SQLite file: created atomically, and copied from an empty one that is kept once it has been made.

MLflow creates the tables in dozens of steps, which take seconds. A process that dies among them, or a second one that
creates them at the same time, would leave a database that MLflow cannot open.
"""

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

_LOCK_SECONDS = 60.0
_OPTION = "--store or --tracking-uri"
_DIGEST = hashlib.sha256
_log = logging.getLogger(__name__)


def create_database(path: Path) -> None:
    """Create the file unless it exists.

    Raises:
        StoreError: The lock file beside it cannot be made, or another process holds it for too long.
        OSError: The file cannot be written.
    """
    if exists(path, _OPTION):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with hold(path.with_name(f"{path.name}.lock"), wait=_LOCK_SECONDS):
        if exists(path, _OPTION):
            return
        unfinished = path.with_name(f"{path.name}.unfinished")
        unfinished.unlink(missing_ok=True)
        try:
            _write_database(unfinished)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)  # on a full disk it would take the room of the results


def takes_seconds(path: Path | None) -> bool:
    """Tell whether creating the file will take seconds; False where there is no file to create.

    Raises:
        StoreError: Whether the file exists cannot be determined.
    """
    return path is not None and not exists(path, _OPTION) and _read_template() is None


def template_path() -> Path:
    """Return where the empty database is kept: a digest, and the content of the file.

    Raises:
        RuntimeError: The user has no home folder.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "insects-search" / f"mlflow-{metadata.version('mlflow')}.db"


def _write_database(path: Path) -> None:
    template = _read_template()
    if template is not None:
        with open(path, "wb") as file:
            file.write(template)
            file.flush()
            os.fsync(file.fileno())
        return
    import mlflow

    for name in ("alembic", "mlflow.store.db.utils"):  # they log every table
        logging.getLogger(name).setLevel(logging.WARNING)
    mlflow.MlflowClient(f"sqlite:///{path}").search_experiments(max_results=1)
    _keep_template(path)


def _read_template() -> bytes | None:
    try:
        content = template_path().read_bytes()
    except (OSError, RuntimeError):
        return None
    size = _DIGEST().digest_size
    is_complete = _DIGEST(content[size:]).digest() == content[:size]
    return content[size:] if is_complete else None


def _keep_template(database: Path) -> None:
    """Keep a copy without MLflow's default experiment, which names a folder of this store."""
    copy = database.with_name(f"{database.name}.empty")
    try:
        copy.write_bytes(database.read_bytes())
        with closing(sqlite3.connect(copy)) as connection, connection:
            connection.execute("DELETE FROM experiments")
        content = copy.read_bytes()
        place = template_path()
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{os.getpid()}")
        temporary.write_bytes(_DIGEST(content).digest() + content)
        temporary.replace(place)
    except (OSError, RuntimeError, sqlite3.Error) as reason:  # the next store is created by MLflow again
        _log.info("cannot keep the empty database: %s", reason)
    finally:
        copy.unlink(missing_ok=True)
