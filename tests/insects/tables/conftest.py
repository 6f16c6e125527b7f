"""Fixtures of the table tests: a file to write."""

from __future__ import annotations

from pathlib import Path

import pytest

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
