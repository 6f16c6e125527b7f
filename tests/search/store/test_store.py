"""The folder of a store and its tracking URI; a folder or database that cannot exist is one line."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from insects.errors import StoreError
from search.store.store import Store
from tests.support.commands import command, invoke, own
from tests.support.studies import a_config, a_result, begun_folder

NOBODY = 65534  # the user without rights
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
def test_store_that_cannot_exist_is_one_line(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, cause = IMPOSSIBLE[kind]
    path = make(tmp_path)
    done = invoke(monkeypatch, *COMMANDS[name], "--store", str(path))
    assert done.exit_code == 1
    assert done.stderr == f"Error: cannot read {path}: {cause}; choose another --store\n"


@pytest.mark.parametrize("name", ["search", "sync", "describe", "ui"])
def test_store_that_cannot_exist_is_one_line_of_the_installed_commands(name: str, tmp_path: Path) -> None:
    path = in_a_loop(tmp_path)
    program, *arguments = COMMANDS[name]
    done = command(f"insects-{program}", *arguments, "--store", str(path), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        1,
        f"Error: cannot read {path}: Too many levels of symbolic links; choose another --store\n",
    )


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may read, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def without_privileges() -> Iterator[None]:
    """Root may read every folder: run as another user."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", COMMANDS)
def test_store_without_permission_is_one_line(name: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "closed").mkdir(mode=0)
    path = place / "closed" / "store"
    # Imports all modules, which the other user may not read.
    invoke(monkeypatch, *COMMANDS[name], "--store", str(place / ("a" * 300)))
    with without_privileges():
        done = invoke(monkeypatch, *COMMANDS[name], "--store", str(path))
    assert done.exit_code == 1
    assert done.stderr == f"Error: cannot read {path}: Permission denied; choose another --store\n"


def test_folder_of_a_store_without_permission_is_an_error_and_not_empty(place: Path) -> None:
    study = begun_folder(place, a_config())
    study.save(a_result(0))
    assert [folder.name for folder in own(place).studies()] == ["s"]
    study.path.chmod(0)
    with without_privileges():
        with pytest.raises(StoreError, match=r"cannot read .*/trials/s: Permission denied; choose another --store"):
            study.numbers()
        with pytest.raises(StoreError, match=r"cannot read .*/trials/s/study\.json: Permission denied"):
            study.exists()
        with pytest.raises(StoreError, match=r"cannot read .*/trials/s/0000\.npz: Permission denied"):
            study.load(0)
    (place / "trials").chmod(0)
    with (
        without_privileges(),
        pytest.raises(StoreError, match=r"cannot read .*/trials: Permission denied; choose another"),
    ):
        own(place).studies()


def test_file_among_the_studies_is_no_study(tmp_path: Path) -> None:
    begun_folder(tmp_path, a_config())
    (tmp_path / "trials" / "notes.txt").write_text("")
    assert [folder.name for folder in own(tmp_path).studies()] == ["s"]


def test_store_behind_a_dangling_link_is_at_its_target(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    assert Store.at(tmp_path / "link").path == tmp_path / "target"


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
def test_database_in_memory_is_one_line(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = invoke(monkeypatch, "search", "--store", str(tmp_path), "--tracking-uri", uri)
    assert done.stderr == f"Error: a database in memory keeps nothing, found {uri}: name a file, sqlite:///FILE\n"
    assert done.exit_code == 1


def test_database_that_cannot_exist_is_one_line_with_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = in_a_file(tmp_path)
    for name, *arguments in (COMMANDS["search"], COMMANDS["evaluate"], COMMANDS["ui"]):
        done = invoke(monkeypatch, name, *arguments, "--store", str(tmp_path), "--tracking-uri", f"sqlite:///{path}")
        expected = f"Error: cannot read {path}: Not a directory; choose another --store or --tracking-uri\n"
        assert (done.exit_code, done.stderr) == (1, expected)
