"""URLs of --storage: the driver is added, and what is no database is one line before the search."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from insects.errors import StoreError
from search.store.storage_url import storage_url
from tests.support.commands import invoke

HINT = "name a database, postgresql://USER@HOST/NAME, mysql://USER@HOST/NAME or sqlite:///FILE"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("postgresql://me@host/team", "postgresql+psycopg://me@host/team"),
        ("postgresql+psycopg://me:secret@host:5433/team", "postgresql+psycopg://me:secret@host:5433/team"),
        ("sqlite:///optuna.db", "sqlite:///optuna.db"),
    ],
)
def test_driver_is_added(text: str, url: str) -> None:
    assert storage_url(text) == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("optuna.journal", "which is no URL of a database"),
        ("postgresql://host:port/team", "which is no URL of a database"),
        ("redis://host", "which Optuna cannot keep studies in"),
        ("postgres://me@host/team", "which Optuna cannot keep studies in"),
        ("oracle://me@host/team", "which Optuna cannot keep studies in"),
        ("postgresql+nothing://me@host/team", "whose driver nothing is not known"),
        ("sqlite://", "which names no database"),
        ("sqlite:///:memory:", "which names no database"),
        ("postgresql://host", "which names no database"),
    ],
)
def test_what_is_no_database_is_one_line(text: str, reason: str) -> None:
    with pytest.raises(StoreError) as error:
        storage_url(text)
    assert str(error.value) == f"--storage is '{text}', {reason}: {HINT}"


def test_password_is_not_shown() -> None:
    with pytest.raises(StoreError, match="me:…@host"):
        storage_url("redis://me:secret@host")


def test_missing_driver_is_one_line_that_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def missing(name: str, *more: Any) -> Any:
        if name == "psycopg":
            raise ModuleNotFoundError("No module named 'psycopg'", name="psycopg")
        return imported(name, *more)

    monkeypatch.setattr(builtins, "__import__", missing)
    done = invoke(monkeypatch, "search", "--store", str(tmp_path), "--storage", "postgresql://me@host/team")
    assert done.exit_code == 1
    assert done.stderr == (
        "Error: --storage is 'postgresql://me@host/team', whose driver is not installed (No module named 'psycopg'): "
        "pip install 'insects-search[postgres]'\n"
    )
