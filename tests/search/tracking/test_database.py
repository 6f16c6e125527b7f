"""MLflow's SQLite file: from MLflow the first time, from the empty one that is kept afterwards."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest

from search.tracking import database
from search.tracking.database import create_database, empty_database
from search.upload import uploader
from tests.support.commands import InlineBackground, command, own


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def from_mlflow(cache: Path, tmp_path: Path) -> Path:
    """The first database of a machine."""
    path = tmp_path / "first" / "mlflow.db"
    create_database(path)
    return path


@pytest.fixture
def no_migration(monkeypatch: pytest.MonkeyPatch, from_mlflow: Path) -> None:
    """From here on MLflow must not be asked to make tables."""
    monkeypatch.setattr(database, "_migrate", lambda path: pytest.fail(f"made {path} anew"))


def rows(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_second_database_has_the_tables_of_the_first_and_no_experiment_of_its(
    from_mlflow: Path, no_migration: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "second" / "mlflow.db"
    create_database(second)
    for query in ("SELECT * FROM sqlite_master ORDER BY name", "SELECT * FROM alembic_version"):
        assert rows(second, query) == rows(from_mlflow, query) != []
    assert rows(second, "SELECT * FROM experiments") == []
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (default,) = mlflow.MlflowClient(f"sqlite:///{second}").search_experiments()
    assert (default.experiment_id, default.name) == ("0", "Default")
    assert default.artifact_location == str(tmp_path / "elsewhere" / "mlruns" / "0")
    assert {path.name for path in second.parent.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_only_what_takes_seconds_is_said(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(uploader, "WorkerProcess", InlineBackground)
    monkeypatch.setattr(InlineBackground, "call", lambda *_, **__: None)
    for store, said in (("a", "Creating MLflow's database meanwhile: some seconds, once a machine\n"), ("b", "")):
        place = own(tmp_path / store)
        bringing = uploader.Uploader(place)
        for study in ("one", "two"):
            bringing.open(place.study(study))
        assert capsys.readouterr().err == said
        create_database(place.path / "mlflow.db")


def test_database_that_is_there_stays_as_it_is(from_mlflow: Path, no_migration: None) -> None:
    before = from_mlflow.read_bytes()
    create_database(from_mlflow)
    assert from_mlflow.read_bytes() == before


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_damaged_copy_is_made_anew(damage: bytes | None, from_mlflow: Path, tmp_path: Path) -> None:
    kept = empty_database()
    whole = kept.read_bytes()
    flipped = bytes([whole[-1] ^ 1])
    kept.write_bytes(whole[:-1] + flipped if damage is None else damage)
    second = tmp_path / "second" / "mlflow.db"
    create_database(second)
    assert rows(second, "PRAGMA integrity_check") == [("ok",)]
    assert rows(second, "SELECT name FROM experiments") == [("Default",)]
    third = tmp_path / "third" / "mlflow.db"
    create_database(third)
    assert rows(third, "SELECT name FROM experiments") == []


def test_without_a_cache_folder_the_database_is_made_all_the_same(tmp_path: Path, cache: Path) -> None:
    cache.write_text("no folder")
    path = tmp_path / "store" / "mlflow.db"
    create_database(path)
    assert rows(path, "SELECT name FROM experiments") == [("Default",)]


def test_unfinished_database_of_a_process_that_died_is_no_obstacle(from_mlflow: Path, tmp_path: Path) -> None:
    path = tmp_path / "second" / "mlflow.db"
    path.parent.mkdir()
    path.with_name("mlflow.db.unfinished").write_bytes(b"half")
    create_database(path)
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_database_that_cannot_be_written_is_one_line(store: Path) -> None:
    uri = f"sqlite:///file:{store / 'mlflow.db'}?mode=ro&uri=true"
    done = command("insects-describe", "--log", "--tracking-uri", uri)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: MLflow at {uri} does not answer as it should: ")
    assert "attempt to write a readonly database" in done.stderr
    assert done.stderr.count("\n") == 1
