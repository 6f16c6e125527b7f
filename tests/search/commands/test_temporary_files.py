"""Commands that write temporary files, where there is no folder for them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.support.commands import Finished, invoke


@pytest.mark.parametrize("line", ["describe --log", "evaluate --best"])
def test_absent_folder_for_temporary_files_is_one_line(
    line: str, tmp_path: Path, finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, *arguments = line.split()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    done = invoke(monkeypatch, name, *arguments, "--store", str(finished.store))
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert "[Errno 2] No such file or directory" in done.stderr
