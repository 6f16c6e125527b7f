"""MLflow's SQLite file: created by MLflow the first time, copied from the kept empty one afterwards."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from search.tracking.database import create_database, takes_seconds, template_path
from tests.support.commands import invoke


@pytest.fixture(scope="module")
def created(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a user's first database, `mlflow.db`, and the user's cache folder, `cache`."""
    folder = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        create_database(folder / "mlflow.db")
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def template(created: Path, cache: Path) -> Path:
    """The empty database that is kept in the cache folder."""
    shutil.copytree(created / "cache", cache)
    return template_path()


@pytest.fixture
def no_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    """`search.tracking.database` must not ask MLflow to create tables."""
    monkeypatch.setattr(mlflow, "MlflowClient", lambda uri: pytest.fail(f"created {uri} again"))


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.usefixtures("template", "no_migration")
def test_second_database_has_the_tables_of_the_first_but_not_its_experiment(
    created: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "second" / "mlflow.db"
    create_database(second)
    for query in ("SELECT * FROM sqlite_master ORDER BY name", "SELECT * FROM alembic_version"):
        assert rows(second, query) == rows(created / "mlflow.db", query) != []
    assert rows(second, "SELECT * FROM experiments") == []
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (default,) = MlflowClient(f"sqlite:///{second}").search_experiments()
    assert (default.experiment_id, default.name) == ("0", "Default")
    assert default.artifact_location == str(tmp_path / "elsewhere" / "mlruns" / "0")
    assert {path.name for path in second.parent.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


@pytest.mark.usefixtures("cache")
def test_first_database_of_a_user_takes_seconds(tmp_path: Path) -> None:
    assert takes_seconds(tmp_path / "mlflow.db")
    assert not takes_seconds(None)


@pytest.mark.usefixtures("template")
def test_second_database_and_an_existing_one_take_no_seconds(created: Path, tmp_path: Path) -> None:
    assert not takes_seconds(tmp_path / "mlflow.db")
    assert not takes_seconds(created / "mlflow.db")


@pytest.mark.usefixtures("cache", "no_migration")
def test_existing_database_stays_as_it_is(created: Path) -> None:
    before = (created / "mlflow.db").read_bytes()
    create_database(created / "mlflow.db")
    assert (created / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"short"])
def test_truncated_template_is_not_used(content: bytes, template: Path, tmp_path: Path) -> None:
    template.write_bytes(content)
    assert takes_seconds(tmp_path / "mlflow.db")


def test_damaged_template_is_written_again(template: Path, tmp_path: Path) -> None:
    content = template.read_bytes()
    template.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert takes_seconds(tmp_path / "second" / "mlflow.db")
    second = tmp_path / "second" / "mlflow.db"
    create_database(second)
    assert rows(second, "PRAGMA integrity_check") == [("ok",)]
    assert rows(second, "SELECT name FROM experiments") == [("Default",)]
    third = tmp_path / "third" / "mlflow.db"
    assert not takes_seconds(third)
    create_database(third)
    assert rows(third, "SELECT name FROM experiments") == []


def test_database_is_created_where_no_template_can_be_kept(tmp_path: Path, cache: Path) -> None:
    cache.write_text("no folder")
    path = tmp_path / "store" / "mlflow.db"
    create_database(path)
    assert rows(path, "SELECT name FROM experiments") == [("Default",)]
    assert {entry.name for entry in path.parent.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


@pytest.mark.usefixtures("template")
def test_unfinished_database_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "second" / "mlflow.db"
    path.parent.mkdir()
    path.with_name("mlflow.db.unfinished").write_bytes(b"half")
    create_database(path)
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert not path.with_name("mlflow.db.unfinished").exists()


def test_database_that_cannot_be_written_is_one_line(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(store)  # MLflow makes the folders of the path, `file:` among them
    uri = f"sqlite:///file:{store / 'mlflow.db'}?mode=ro&uri=true"
    done = invoke(monkeypatch, "describe", "--log", "--tracking-uri", uri)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: MLflow at {uri} does not answer as it should: ")
    assert "attempt to write a readonly database" in done.stderr
    assert done.stderr.count("\n") == 1
