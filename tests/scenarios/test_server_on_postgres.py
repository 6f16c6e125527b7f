"""`mlflow server` over PostgreSQL that asks for a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from search.store.storage_url import storage_url
from tests.support import kills
from tests.support.postgres import Postgres
from tests.support.servers import USER, Server


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest.fixture(scope="module")
def server(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server") / "server"
    with Server(folder, empty_database, storage_url(postgres.create("mlflow")), auth=True) as server:
        yield server


def test_wrong_password_is_one_line_and_the_search_goes_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    answer = kills.complete(monkeypatch, tmp_path / "store", "--tracking-uri", server.uri)
    assert (len(answer["trials"]), answer["model"]) == (12, None)
    assert answer["upload_error"].startswith(f"MLflow at {server.uri} does not answer as it should: ")
    assert "401" in answer["upload_error"]
    assert "wrong" not in answer["upload_error"]
