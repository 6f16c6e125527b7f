"""What commands look up in MLflow's SQLite file without MLflow, whose import takes seconds.

Each function returns None where MLflow itself is to be asked: another database or schema, nothing found, any error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit

from search.store.store import Store

SCHEMA = "dc11669786a5"
"""The version of MLflow's tables that these queries were written for; a test compares it with MLflow's own."""

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class VersionRecord:
    """A version of a registered model.

    Attributes:
        name: The registered model.
        version: The version's number.
        run: The id of its run.
        tags: Its tags.
        files: The folder of its files.
    """

    name: str
    version: str
    run: str
    tags: dict[str, str]
    files: Path


def find_version(store: Store, name: str, alias: str, number: str) -> VersionRecord | None:
    """Find a version of a registered model whose files are on this machine.

    Args:
        store: The store whose registry it is in.
        name: The registered model.
        alias: The alias of the version; empty: it is given by its number.
        number: The version's number.
    """
    return _read(store, lambda database: _version(database, name, alias, number))


def find_run_file(store: Store, run: str, name: str) -> Path | None:
    """Find a file of a run on this machine.

    Args:
        store: The store that the run is in.
        run: The id of the run.
        name: The file.
    """
    return _read(store, lambda database: _run_file(database, run, name))


def last_experiment(store: Store, tag: str, name: str | None) -> str | None:
    """Return the id of the experiment that was created last.

    Args:
        store: The store.
        tag: A tag that it must have.
        name: Its name; None: any.
    """
    return _read(store, lambda database: _experiment(database, tag, name))


def _version(database: sqlite3.Connection, name: str, alias: str, number: str) -> VersionRecord | None:
    if alias:
        query = "SELECT version FROM registered_model_aliases WHERE workspace = 'default' AND name = ? AND alias = ?"
        found = database.execute(query, (name, alias)).fetchone()
        if found is None:
            return None
        number = str(found[0])
    key = (name, number)
    found = database.execute(
        "SELECT v.version, v.run_id, m.artifact_location FROM model_versions v "
        "JOIN logged_models m ON v.source = 'models:/' || m.model_id AND m.lifecycle_stage = 'active' "
        "WHERE v.workspace = 'default' AND v.name = ? AND v.version = ? AND v.current_stage != 'Deleted_Internal'",
        key,
    ).fetchone()
    if found is None:
        return None
    version, run, location = found
    description = _local_file(location, "MLmodel")
    if description is None:
        return None
    query = "SELECT key, value FROM model_version_tags WHERE workspace = 'default' AND name = ? AND version = ?"
    return VersionRecord(
        name, str(version), str(run), dict(database.execute(query, key).fetchall()), description.parent
    )


def _run_file(database: sqlite3.Connection, run: str, name: str) -> Path | None:
    query = "SELECT artifact_uri FROM runs WHERE run_uuid = ? AND lifecycle_stage = 'active'"
    found = database.execute(query, (run,)).fetchone()
    return None if found is None else _local_file(found[0], name)


def _local_file(folder: str, name: str) -> Path | None:
    """Return a file in the folder of a URI; None unless it is there."""
    place = urlsplit(folder)
    path = Path(unquote(place.path)) / name
    return path if place.scheme == "file" and not place.netloc and path.is_file() else None


def _experiment(database: sqlite3.Connection, tag: str, name: str | None) -> str | None:
    found = database.execute(
        "SELECT e.experiment_id FROM experiments e JOIN experiment_tags t ON t.experiment_id = e.experiment_id "
        "WHERE t.key = ? AND e.workspace = 'default' AND e.lifecycle_stage = 'active' AND coalesce(?, e.name) = e.name "
        "ORDER BY e.creation_time DESC",
        (tag, name),
    ).fetchone()
    return None if found is None else str(found[0])


def _read(store: Store, query: Callable[[sqlite3.Connection], _Result | None]) -> _Result | None:
    if store.database is None:
        return None
    try:
        with closing(sqlite3.connect(f"file:{quote(str(store.database))}?mode=ro", uri=True)) as database:
            schema = database.execute("SELECT version_num FROM alembic_version").fetchone()
            return query(database) if schema == (SCHEMA,) else None
    except (sqlite3.Error, OSError):
        return None
