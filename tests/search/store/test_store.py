"""Where a store may be, and which file a tracking URI names; what cannot be is one line."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from insects.errors import StoreError
from search.store.store import Store, mlflow_errors
from search.tracking import database
from search.tracking.database import database_file
from tests.support.commands import command, invoke, own
from tests.support.studies import a_config, a_result, begun_folder

NOBODY = 65534
COMMANDS = {
    "search": ("search", "--trials", "1"),
    "sync": ("search", "--sync"),
    "sync of a study": ("search", "--sync", "--study", "s"),
    "evaluate": ("evaluate", "--best"),
    "describe": ("describe", "--log"),
    "ui": ("ui",),
}


def in_a_file(place: Path) -> Path:
    (place / "file").write_text("")
    return place / "file" / "in"


def in_a_loop(place: Path) -> Path:
    (place / "loop").symlink_to("loop")
    return place / "loop" / "in"


def loop(place: Path) -> Path:
    (place / "loop").symlink_to("loop")
    return place / "loop"


IMPOSSIBLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a name of 300 characters": (lambda place: place / ("a" * 300), "File name too long"),
    "below a file": (in_a_file, "Not a directory"),
    "a link to itself": (loop, "Too many levels of symbolic links"),
    "below a link to itself": (in_a_loop, "Too many levels of symbolic links"),
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("kind", IMPOSSIBLE)
def test_store_that_cannot_be_there_is_one_line(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, cause = IMPOSSIBLE[kind]
    path = make(tmp_path)
    done = invoke(monkeypatch, *COMMANDS[name], "--store", str(path))
    assert done.exit_code == 1
    assert done.stderr == f"Error: cannot read {path}: {cause}; choose another --store\n"


@pytest.mark.parametrize("name", ["search", "sync", "describe", "ui"])
def test_installed_commands_say_it_too(name: str, tmp_path: Path) -> None:
    path = in_a_loop(tmp_path)
    program, *arguments = COMMANDS[name]
    done = command(f"insects-{program}", *arguments, "--store", str(path), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        1,
        f"Error: cannot read {path}: Too many levels of symbolic links; choose another --store\n",
    )


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may read, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def powerless() -> Iterator[None]:
    """What root may do is not what this is about."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", COMMANDS)
def test_store_in_a_folder_that_is_closed_is_one_line(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "closed").mkdir(mode=0)
    path = place / "closed" / "store"
    invoke(monkeypatch, *COMMANDS[name], "--store", str(place / ("a" * 300)))  # loads what nobody may not read
    with powerless():
        done = invoke(monkeypatch, *COMMANDS[name], "--store", str(path))
    assert done.exit_code == 1
    assert done.stderr == f"Error: cannot read {path}: Permission denied; choose another --store\n"


def test_folders_of_a_store_that_are_closed_are_no_empty_ones(place: Path) -> None:
    study = begun_folder(place, a_config())
    study.save(a_result(0))
    assert [folder.name for folder in own(place).studies()] == ["s"]
    study.path.chmod(0)
    with powerless():
        with pytest.raises(StoreError, match=r"cannot read .*/trials/s: Permission denied; choose another --store"):
            study.numbers()
        with pytest.raises(StoreError, match=r"cannot read .*/trials/s/study\.json: Permission denied"):
            study.exists()
        with pytest.raises(StoreError, match=r"cannot read .*/trials/s/0000\.npz: Permission denied"):
            study.load(0)
    (place / "trials").chmod(0)
    with powerless(), pytest.raises(StoreError, match=r"cannot read .*/trials: Permission denied; choose another"):
        own(place).studies()


def test_file_among_the_studies_is_none(tmp_path: Path) -> None:
    begun_folder(tmp_path, a_config())
    (tmp_path / "trials" / "notes.txt").write_text("")
    assert [folder.name for folder in own(tmp_path).studies()] == ["s"]


def test_store_behind_a_dangling_link_is_where_the_link_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    assert Store.at(tmp_path / "link").path == tmp_path / "target"


@pytest.mark.parametrize("name", COMMANDS)
def test_working_directory_that_is_gone_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    done = invoke(monkeypatch, *COMMANDS[name])
    assert done.stderr == "Error: cannot find mlruns: the working directory is gone; change to one that is there\n"
    assert done.exit_code == 1


URIS = {
    "sqlite:///x.db": "x.db",
    "sqlite:///../x.db": "../x.db",
    "sqlite:////abs/a:b/x.db": "/abs/a:b/x.db",
    "sqlite:///x.db?timeout=30": "x.db",
    "sqlite+pysqlite:///x.db": "x.db",
    "sqlite+pysqlite:////abs/x.db?timeout=30": "/abs/x.db",
    "sqlite://": None,
    "sqlite:///": None,
    "sqlite:///:memory:": None,
    "sqlite:///file:x.db?mode=ro&uri=true": None,
    "sqlite:x.db": None,
    "postgresql://user@host/x.db": None,
    "http://host/x.db": None,
    "mlruns": None,
}


@pytest.mark.parametrize("uri", URIS)
def test_file_of_a_tracking_uri(uri: str) -> None:
    expected = URIS[uri]
    assert database_file(uri) == (None if expected is None else Path(expected))


def test_own_uri_is_read_without_sqlalchemy(tmp_path: Path) -> None:
    script = f"import sys; from search.tracking.database import database_file; print(database_file('sqlite:///{tmp_path}/x.db'))"
    script += "; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == f"{tmp_path}/x.db\nFalse\n"


@pytest.mark.parametrize("form", ["sqlite:///{}?timeout=30", "sqlite+pysqlite:///{}"])
@pytest.mark.parametrize("relative", [False, True])
def test_file_of_any_form_of_uri_is_made_from_the_kept_one(
    form: str, relative: bool, tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_migrate", lambda path: pytest.fail(f"made {path} anew"))
    monkeypatch.chdir(tmp_path)
    name = "x.db" if relative else tmp_path / "x.db"
    store = Store.at(tmp_path / "store", form.format(name))
    with pytest.raises(StoreError, match="there is nothing in sqlite"):
        store.check_database()
    assert not store.begins_slowly
    assert [experiment.name for experiment in store.client().search_experiments()] == ["Default"]
    store.check_database()
    with closing(sqlite3.connect("x.db")) as connection:
        assert connection.execute("SELECT name FROM experiments").fetchall() == [("Default",)]
    assert {path.name for path in tmp_path.iterdir() if path.suffix} == {"x.db", "x.db.lock"}


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite+pysqlite:///:memory:",
        "sqlite:///:memory:?cache=shared",
        "sqlite:///file:x?mode=memory&uri=true",
    ],
)
def test_database_in_memory_is_refused(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(monkeypatch, "search", "--store", str(tmp_path), "--tracking-uri", uri)
    assert done.stderr == f"Error: a database in memory keeps nothing, found {uri}: name a file, sqlite:///FILE\n"
    assert done.exit_code == 1


def test_tracking_file_that_cannot_be_there_names_its_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = in_a_file(tmp_path)
    for name, *arguments in (COMMANDS["search"], COMMANDS["evaluate"], COMMANDS["ui"]):
        done = invoke(monkeypatch, name, *arguments, "--store", str(tmp_path), "--tracking-uri", f"sqlite:///{path}")
        expected = f"Error: cannot read {path}: Not a directory; choose another --store or --tracking-uri\n"
        assert (done.exit_code, done.stderr) == (1, expected)


@pytest.mark.parametrize(
    ("setting", "uri"),
    [
        ("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "sqlite:///{}/mlflow.db"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "http://127.0.0.1:9"),
    ],
)
def test_setting_that_mlflow_cannot_read_is_one_line(
    setting: str, uri: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(setting, "abc")
    place = Store.at(store, uri.format(store))
    with pytest.raises(StoreError) as error, mlflow_errors(place.tracking_uri):
        place.client().search_experiments(max_results=1)
    cause = f"Failed to convert 'abc' for {setting}: invalid literal for int() with base 10: 'abc'"
    assert str(error.value) == f"MLflow cannot read its settings: {cause}; correct or unset it"


def test_another_value_error_is_a_bug(store: Path) -> None:
    with pytest.raises(ValueError, match="a bug"), mlflow_errors(str(store)):
        raise ValueError("a bug")
