"""Each form of a SQLite URI leads to one file, which is copied from the kept empty database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from insects.errors import StoreError
from search.store.store import Store
from search.tracking import database
from tests.support.commands import client_of


@pytest.mark.usefixtures("empty_database")  # it has been kept
@pytest.mark.parametrize("form", ["sqlite:///{}?timeout=30", "sqlite+pysqlite:///{}"])
@pytest.mark.parametrize("relative", [False, True])
def test_file_of_any_form_of_uri_is_copied_from_the_kept_database(
    form: str, relative: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_keep_template", lambda path: pytest.fail(f"created {path} again"))
    monkeypatch.chdir(tmp_path)
    name = "x.db" if relative else tmp_path / "x.db"
    store = Store.at(tmp_path / "store", form.format(name))
    with pytest.raises(StoreError) as error:
        store.check_database()
    assert str(error.value) == (
        f"there is nothing in {store.tracking_uri} yet: run insects-search first, or name its --store"
    )
    assert not database.takes_seconds(store.database)
    assert [experiment.name for experiment in client_of(store).search_experiments()] == ["Default"]
    store.check_database()
    with closing(sqlite3.connect("x.db")) as connection:
        assert connection.execute("SELECT name FROM experiments").fetchall() == [("Default",)]
    assert {path.name for path in tmp_path.iterdir() if path.suffix} == {"x.db", "x.db.lock"}


def test_setting_of_databases_that_mlflow_cannot_read_is_one_line(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "abc")
    with pytest.raises(StoreError) as error:
        client_of(Store.at(store, f"sqlite:///{store}/mlflow.db?timeout=31"))  # MLflow keeps the stores of other URIs
    cause = (
        "Failed to convert 'abc' for MLFLOW_SQLALCHEMYSTORE_POOL_SIZE: invalid literal for int() with base 10: 'abc'"
    )
    assert str(error.value) == f"MLflow cannot read its settings: {cause}; correct or unset it"
