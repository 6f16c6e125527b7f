"""A full disk is a clear error that loses nothing; after room is made the same command completes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import RefusingProcess, command, invoke
from tests.support.disks import resize

SEARCH = (
    "--trials", "8", "--epochs", "2", "--width", "64:96", "--study", "full", "--json",
    "--finalists", "1", "--folds", "2",
)  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The study's digest if there is always room."""
    store = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        done = invoke(patch, "search", *SEARCH, "--store", str(store), workers=RefusingProcess)
    return str(json.loads(done.stdout)["study_digest"])


@pytest.mark.parametrize(
    ("size", "code", "complaint"),
    [
        ("240k", 1, "No space left on device"),  # no room for the results
        ("1500k", 0, "does not answer as it should"),  # none for MLflow's files
    ],
)
def test_search_on_a_full_disk_completes_after_room_is_made(
    size: str, code: int, complaint: str, disk: Path, undisturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = disk / "store"
    resize(disk, size)
    full = command("insects-search", *SEARCH, "--store", str(store))
    assert full.returncode == code
    assert complaint in (full.stderr if code else json.loads(full.stdout)["upload_error"])
    assert "Traceback" not in full.stderr
    resize(disk, "60m")
    resumed = json.loads(invoke(monkeypatch, "search", *SEARCH, "--store", str(store)).stdout)
    assert resumed["study_digest"] == undisturbed
    assert resumed["upload_error"] is None
    assert resumed["model"]["alias"] == "best"
