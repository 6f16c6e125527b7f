"""Tracking URIs, checked without importing MLflow, so that a mistake is reported before the search."""

from __future__ import annotations

import os
import re
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from insects.errors import StoreError
from insects.text import shown

# A test compares them with MLflow's own registry of stores.
SERVERS = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_OTHERS = ("databricks",)
_HINT = "name a server, http://HOST:PORT, or a database, sqlite:///FILE, postgresql://…, mysql://… or mssql://…"


def check_uri(uri: str) -> None:
    """Check that MLflow has a store for a URI. Whether the store answers is not checked.

    Raises:
        StoreError: MLflow has none.
    """
    try:
        parts = urlsplit(uri)
        has_host = bool(parts.hostname) and parts.port != 0  # reading a port that is no number raises
    except ValueError as error:
        raise _uri_error(uri, f"which is no URI ({error})") from None
    scheme = parts.scheme.partition("+")[0]
    if scheme in SERVERS and not has_host:
        raise _uri_error(uri, "which names no host")
    if scheme in DATABASES and not uri[len(parts.scheme) :].startswith("://"):
        raise _uri_error(uri, f"which lacks the // of {scheme}://")
    if scheme in ("", "file") and uri not in _OTHERS and not _file_stores_are_allowed():
        raise _uri_error(uri, "a folder, in which MLflow no longer keeps runs")
    if scheme not in (*SERVERS, *DATABASES, *_OTHERS, "", "file") and scheme not in _plugin_schemes():
        raise _uri_error(uri, "which MLflow has no store for")


def without_password(text: str) -> str:
    """Replace the passwords of the URIs in a text by an ellipsis.

    Examples:
        >>> without_password("postgresql://me:secret@host/db")
        'postgresql://me:…@host/db'
    """
    return re.sub(r"(://[^:/@\s]*):[^@/\s]+@", r"\1:…@", text)


def database_file(uri: str) -> Path | None:
    """Return the file of a SQLite URI; None for other databases, in memory, or in SQLite's own `file:` form."""
    name = uri.removeprefix("sqlite:///")
    if name == uri or set("?%") & set(name):
        if not uri.startswith("sqlite"):
            return None
        from sqlalchemy.engine import make_url  # takes a quarter of a second; a store's own URI does not need it
        from sqlalchemy.exc import ArgumentError

        try:
            name = make_url(uri).database or ""
        except ArgumentError:
            return None  # MLflow reports what is wrong with it
    return None if name in ("", ":memory:") or name.startswith("file:") else Path(name)


def is_in_memory(uri: str) -> bool:
    """Tell whether a URI is that of a SQLite database without a file."""
    nameless = uri.rstrip("/").endswith(":")
    return uri.startswith("sqlite") and (nameless or ":memory:" in uri or "mode=memory" in uri)


def _uri_error(uri: str, reason: str) -> StoreError:
    found = shown(without_password(uri), 200)
    return StoreError(f"--tracking-uri, or MLFLOW_TRACKING_URI, is {found}, {reason}: {_HINT}")


def _file_stores_are_allowed() -> bool:
    return os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1")


def _plugin_schemes() -> set[str]:
    """Schemes of the MLflow stores that other packages install."""
    return {entry.name for entry in entry_points(group="mlflow.tracking_store")}
