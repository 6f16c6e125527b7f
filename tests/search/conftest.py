"""The uninterrupted study, made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.search.references import PLAN, TRIALS, Reference
from tests.search.studies import run_study


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """A store with an uninterrupted study of one worker, and its results."""
    store = tmp_path_factory.mktemp("reference")
    return store, run_study(store, PLAN, TRIALS, workers=1)


@pytest.fixture
def copied(reference: Reference, tmp_path: Path) -> Path:
    """A copy of the reference's store."""
    return Path(shutil.copytree(reference[0], tmp_path / "store"))
