"""A full disk is a clear error that loses nothing; after room is made the same command completes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import command
from tests.support.disks import resize

SEARCH = (
    "insects-search", "--trials", "8", "--epochs", "2", "--width", "64:96", "--study", "full", "--json",
    "--finalists", "1", "--folds", "2",
)  # fmt: skip


@pytest.mark.parametrize(
    ("size", "code", "complaint"),
    [
        ("240k", 1, "No space left on device"),  # no room for the results
        ("1500k", 0, "does not answer as it should"),  # none for MLflow's files
    ],
)
def test_search_on_a_full_disk_completes_after_room_is_made(size: str, code: int, complaint: str, disk: Path) -> None:
    store, reference = disk / "store", disk.parent / "reference"
    resize(disk, size)
    full = command(*SEARCH, "--store", str(store))
    assert full.returncode == code
    assert complaint in (full.stderr if code else json.loads(full.stdout)["upload_error"])
    assert "Traceback" not in full.stderr
    resize(disk, "60m")
    resumed = json.loads(command(*SEARCH, "--store", str(store)).stdout)
    undisturbed = json.loads(command(*SEARCH, "--store", str(reference)).stdout)
    assert resumed["study_digest"] == undisturbed["study_digest"]
    assert resumed["upload_error"] is None
    assert resumed["model"]["alias"] == "best"
