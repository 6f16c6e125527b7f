"""Fixtures of the table tests: a CSV file to write, and both parsers."""

from __future__ import annotations

from pathlib import Path

import pytest

from insects.tables import csv_reader
from tests.support.csv_cases import Write


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes `t.csv` to the working directory, so that messages begin with this name alone."""
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes) -> Path:
        path = Path("t.csv")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture(params=["csv", "pandas"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The parser of a block. pandas parses small files only with this fixture."""
    if request.param == "pandas":
        monkeypatch.setattr(csv_reader, "_SMALL", 0)
    return str(request.param)
