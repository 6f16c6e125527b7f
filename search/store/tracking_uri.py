"""Which tracking URIs MLflow can take, told without importing it: a mistake is said before the search, not after it."""

from __future__ import annotations

import os
import re
from importlib.metadata import entry_points
from urllib.parse import urlsplit

from insects.errors import StoreError
from insects.text import shown

# A test holds them to MLflow's own registry.
SERVERS = ("http", "https")
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
_ELSEWHERE = ("databricks",)
_HINT = "name a server, http://HOST:PORT, or a database, sqlite:///FILE, postgresql://…, mysql://… or mssql://…"


def check_uri(uri: str) -> None:
    """See that MLflow has a store for the URI. Whether it answers is another question.

    Raises: StoreError: it has none.
    """
    try:
        parts = urlsplit(uri)
        has_host = bool(parts.hostname) and parts.port != 0  # asking for a port that is no number raises
    except ValueError as error:
        raise _refused(uri, f"which is no URI ({error})") from None
    scheme = parts.scheme.partition("+")[0]
    if scheme in SERVERS and not has_host:
        raise _refused(uri, "which names no host")
    if scheme in DATABASES and not uri[len(parts.scheme) :].startswith("://"):
        raise _refused(uri, f"which lacks the // of {scheme}://")
    if scheme in ("", "file") and uri not in _ELSEWHERE and not _may_be_a_folder():
        raise _refused(uri, "a folder, in which MLflow no longer keeps runs")
    if scheme not in (*SERVERS, *DATABASES, *_ELSEWHERE, "", "file") and scheme not in _plugins():
        raise _refused(uri, "which MLflow has no store for")


def without_password(text: str) -> str:
    """A text with the passwords of its URIs left out."""
    return re.sub(r"(://[^:/@\s]*):[^@/\s]+@", r"\1:…@", text)


def _refused(uri: str, reason: str) -> StoreError:
    found = shown(without_password(uri), 200)
    return StoreError(f"--tracking-uri, or MLFLOW_TRACKING_URI, is {found}, {reason}: {_HINT}")


def _may_be_a_folder() -> bool:
    return os.environ.get("MLFLOW_ALLOW_FILE_STORE", "").lower() in ("true", "1")


def _plugins() -> set[str]:
    """Schemes that other packages add to MLflow's."""
    return {entry.name for entry in entry_points(group="mlflow.tracking_store")}
