"""Small data for the engines' tests, and a place for CSV files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from insects.spiral import ARMS, FEATURES, spiral
from insects.splits import Splits, Table, split
from insects.tables import csv_reader
from tests.insects.csv_cases import Write

MakeSplits = Callable[..., Splits]


@pytest.fixture(scope="session")
def spiral_splits() -> Splits:
    """960 training and 240 validation rows of a five-arm spiral, and 150 more of the third part."""
    x, y = spiral(0, per_class=270)
    table = Table(FEATURES, tuple("01234"[:ARMS]), x.astype(np.float32), y, "spiral")
    return split(table, test_fraction=1 / 9)[0]


@pytest.fixture(scope="session")
def make_splits() -> MakeSplits:
    """Random rows around one centre a class: `make_splits(rows, features, classes)`."""

    def make(rows: int, features: int = 2, classes: int = 5) -> Splits:
        generator = np.random.default_rng(rows + features + classes)
        centres = generator.normal(size=(classes, features))
        y = np.arange(rows + 64, dtype=np.int32) % classes
        x = (centres[y] + generator.normal(size=(len(y), features))).astype(np.float32)
        names, ones = tuple(f"x{j}" for j in range(features)), np.ones(features, np.float32)
        labels = tuple(f"class{c:03}" for c in range(classes))
        return Splits(names, labels, x[:rows], y[:rows], x[rows:], y[rows:], 0 * ones, ones, "made up")

    return make


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes `t.csv` into the working directory, so that messages begin with this name alone."""
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes) -> Path:
        path = Path("t.csv")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(params=["cell by cell", "pandas"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to read a block; small files go cell by cell by themselves."""
    if request.param == "pandas":
        monkeypatch.setattr(csv_reader, "_SMALL", 0)
    return str(request.param)
