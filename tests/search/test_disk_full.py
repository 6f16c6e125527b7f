"""A full disk is a clear error that loses nothing; after room is made the same command completes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.search.commands import command
from tests.search.servers import unavailable

SEARCH = ("insects-search", "--trials", "8", "--epochs", "2", "--width", "64:96", "--study", "full", "--json")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, in memory."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = _mount("-t", "tmpfs", "-o", "size=60m", "tmpfs", str(folder))
    if mounted.returncode:
        unavailable(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize(
    ("size", "code", "complaint"),
    [
        ("240k", 1, "No space left on device"),  # no room for the results
        ("1300k", 0, "does not answer as it should"),  # none for MLflow's files
    ],
)
def test_search_on_a_full_disk_completes_after_room_is_made(size: str, code: int, complaint: str, disk: Path) -> None:
    store, reference = disk / "store", disk.parent / "reference"
    _resize(disk, size)
    full = command(*SEARCH, "--store", str(store))
    assert full.returncode == code
    assert complaint in (full.stderr if code else json.loads(full.stdout)["trouble"])
    assert "Traceback" not in full.stderr
    _resize(disk, "60m")
    resumed = json.loads(command(*SEARCH, "--store", str(store)).stdout)
    undisturbed = json.loads(command(*SEARCH, "--store", str(reference)).stdout)
    assert resumed["study_digest"] == undisturbed["study_digest"]
    assert resumed["trouble"] is None
    assert resumed["model"]["alias"] == "best"


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)


def _resize(disk: Path, size: str) -> None:
    _mount("-o", f"remount,size={size}", str(disk)).check_returncode()
