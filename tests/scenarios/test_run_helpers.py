"""Two processes that write the runs of one study: killed in the middle, they lose nothing and write nothing twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import kills
from tests.support.environments import clean_environment

# Where the first worker and its helper each write runs, whatever the machine, and a fault is planted in the helper.
WITH_HELPER = """
import os
from search.upload import run_queue, uploader

run_queue.WORTH_A_WORKER = 0.0
os.cpu_count = lambda: 2
start = uploader.UploadWorkers.start_helper

def start_helper(workers, folder):
    os.environ.update(FAULT={fault!r}, FAULT_SEEN={seen!r})
    try:
        return start(workers, folder)
    finally:
        del os.environ["FAULT"]

uploader.UploadWorkers.start_helper = start_helper
from search.cli import search
search()
"""


def search_with_helper(store: Path, fault: str, seen: Path) -> subprocess.CompletedProcess[str]:
    """Run the search with a second process that writes runs.

    Args:
        store: The store's folder.
        fault: Where that process, and the search, is killed, as in `faults/sitecustomize.py`.
        seen: A file that is there after the fault.
    """
    program = WITH_HELPER.format(fault=fault, seen=str(seen))
    return subprocess.run(
        [sys.executable, "-c", program, *kills.command(store)[1:]],
        capture_output=True,
        text=True,
        env={**clean_environment(), "PYTHONPATH": str(Path(kills.__file__).with_name("faults"))},
        timeout=kills.END_SECONDS,
        check=False,
    )


def test_search_killed_beside_its_helper_goes_on_to_the_same_end(
    undisturbed: tuple[dict[str, Any], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    created = "search.tracking.trial_runs:TrialRunLogger._create:after:1"
    search_with_helper(tmp_path / "store", created, tmp_path / "seen")
    assert (tmp_path / "seen").exists()
    answer = kills.complete(monkeypatch, tmp_path / "store")
    assert answer["study_digest"] == undisturbed[0]["study_digest"]
    assert kills.contents(tmp_path / "store") == undisturbed[1]


def test_search_with_a_helper_equals_one_without(
    undisturbed: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> None:
    never = "search.tracking.trial_runs:TrialRunLogger._create:after:1000"
    done = search_with_helper(tmp_path / "store", never, tmp_path / "seen")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "store" / "trials" / kills.STUDY / "upload-helpers.lock").exists()
    assert kills.contents(tmp_path / "store") == undisturbed[1]
