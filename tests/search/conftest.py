"""The uninterrupted study, and the search on images, each made once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.store.store import Store
from search.store.study_folder import StudyFolder
from tests.search.commands import invoke
from tests.search.disks import mounted
from tests.search.made_studies import study_of
from tests.search.references import PLAN, TRIALS, Reference
from tests.search.searched_images import TINY, Searched
from tests.search.studies import run_study
from tests.search.two_stores import OTHER_TIME, STUDY


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A store with an uninterrupted study of one worker, and its results."""
    store = tmp_path_factory.mktemp("reference")
    return store, run_study(store, PLAN, TRIALS, workers=1)


@pytest.fixture
def copied(reference: Reference, tmp_path: Path) -> Path:
    """A copy of the reference's store."""
    return Path(shutil.copytree(reference[0], tmp_path / "store"))


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """A study's folder with nothing in it."""
    folder = StudyFolder(tmp_path / "trials" / "s")
    folder.make()
    return folder


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Searched:
    store = tmp_path_factory.mktemp("images")
    shutil.copy(empty_database, store)
    with pytest.MonkeyPatch.context() as patch:
        done = invoke(patch, "search", "--images", "demo", *TINY, "--store", str(store), "--json")
    assert done.exit_code == 0, done.stderr
    return Searched(store, json.loads(done.stdout), done.stderr)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that a search fits on."""
    with mounted(tmp_path / "disk", "60m") as folder:
        yield folder


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for one small file, which is what `tempfile` asks of one."""
    with mounted(tmp_path / "disk", "4k") as folder:
        yield folder


@pytest.fixture
def stores(tmp_path: Path, empty_database: Path) -> tuple[Store, Store]:
    """Two stores with one database, each with the same trial of the same study."""
    shutil.copy(empty_database, tmp_path / "shared.db")
    study_of(tmp_path / "one", STUDY, seed=0)
    study_of(tmp_path / "two", STUDY, seed=0, started=OTHER_TIME)
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    return Store.at(tmp_path / "one", uri), Store.at(tmp_path / "two", uri)
