"""Files of a store outlive a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.system import files


def test_every_folder_that_is_made_is_on_the_disk_with_the_one_that_it_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    sync = files._sync_folder

    def noted(path: Path) -> None:
        sync(path)
        synced.append(path)

    monkeypatch.setattr(files, "_sync_folder", noted)
    files.make_folder(tmp_path / "runs" / "trials" / "s")
    assert set(synced) == {tmp_path, tmp_path / "runs", tmp_path / "runs" / "trials"}
    synced.clear()
    files.make_folder(tmp_path / "runs" / "trials" / "t")
    assert synced == [tmp_path / "runs" / "trials"]
