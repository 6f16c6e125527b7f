"""URLs of the databases that trials are written to for Optuna's dashboards, checked before the search."""

from __future__ import annotations

from insects.errors import StoreError
from insects.text import shown
from search.store.tracking_uri import is_in_memory, without_password

_DATABASES = ("postgresql", "mysql", "sqlite")  # those of optuna.storages.RDBStorage
_DRIVERS = {"postgresql": "postgresql+psycopg"}
_HINT = "name a database, postgresql://USER@HOST/NAME, mysql://USER@HOST/NAME or sqlite:///FILE"


def storage_url(text: str) -> str:
    """Return the URL of a database with its driver, which is installed. Whether the database answers is not checked.

    Raises:
        StoreError: It is no URL of a database, or its driver is not installed.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise _url_error(text, "which is no URL of a database") from None
    backend, _, driver = url.drivername.partition("+")
    if backend not in _DATABASES:
        raise _url_error(text, "which Optuna cannot keep studies in")
    if is_in_memory(text) or not url.database:
        raise _url_error(text, "which names no database")
    if not driver:
        url = url.set(drivername=_DRIVERS.get(backend, backend))
    try:
        url.get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise _url_error(text, f"whose driver {driver} is not known") from None
    except ImportError as error:
        install = "'insects-search[postgres]'" if error.name == "psycopg" else str(error.name)
        raise StoreError(
            f"--storage is {_shown(text)}, whose driver is not installed ({error}): pip install {install}"
        ) from error
    return url.render_as_string(hide_password=False)


def _url_error(text: str, reason: str) -> StoreError:
    return StoreError(f"--storage is {_shown(text)}, {reason}: {_HINT}")


def _shown(text: str) -> str:
    return shown(without_password(text), 200)
