"""Folders and files that survive a power cut; temporary files where there is no folder or no room for them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from insects.errors import StoreError
from search.system import files
from search.system.files import check_temporary_space, exists, listing, temporary_folder

MAKE_ROOM = "make room, or set TMPDIR to a folder that has some"


@pytest.fixture
def absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, which was deleted."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    return tmp_path / "none"


def test_each_new_folder_and_its_parents_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_listing_is_sorted_and_empty_for_an_absent_folder(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    (tmp_path / "c").write_bytes(b"")
    assert [path.name for path in listing(tmp_path)] == ["a", "b", "c"]
    assert [path.name for path in listing(tmp_path, folders=True)] == ["a", "b"]
    assert listing(tmp_path / "none") == []
    with pytest.raises(StoreError) as error:
        listing(tmp_path / "c")
    assert str(error.value) == f"cannot read {tmp_path / 'c'}: Not a directory; choose another --store"


def test_error_of_a_file_that_cannot_exist_names_the_option(tmp_path: Path) -> None:
    assert exists(tmp_path)
    assert not exists(tmp_path / "none")
    path = tmp_path / ("a" * 300)
    with pytest.raises(StoreError) as error:
        exists(path, "--tracking-uri")
    assert str(error.value) == f"cannot read {path}: File name too long; choose another --tracking-uri"


def test_temporary_folder_is_deleted_after_the_block_and_after_an_error() -> None:
    with temporary_folder() as folder:
        (folder / "file").write_bytes(b"content")
    assert not folder.exists()
    with pytest.raises(KeyError), temporary_folder() as folder:
        raise KeyError
    assert not folder.exists()


def test_temporary_folder_that_cannot_be_made_is_an_error_that_names_tmpdir(absent: Path) -> None:
    with pytest.raises(StoreError) as error, temporary_folder():
        pytest.fail("there is no folder")
    message = str(error.value)
    assert message.startswith(f"temporary files cannot be written ([Errno 2] No such file or directory: '{absent}/")
    assert message.endswith(f"'): {MAKE_ROOM}")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_in_the_block_is_an_error_that_names_tmpdir(number: int) -> None:
    with pytest.raises(StoreError) as error, temporary_folder() as folder:
        raise OSError(number, os.strerror(number))
    assert str(error.value) == (
        f"temporary files cannot be written ([Errno {number}] {os.strerror(number)}): {MAKE_ROOM}"
    )
    assert not folder.exists()


def test_disk_that_is_really_full_is_an_error_that_names_tmpdir(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    full = r"^temporary files cannot be written \(\[Errno 28\] No space left on device"
    with pytest.raises(StoreError, match=full), temporary_folder() as folder:
        (folder / "file").write_bytes(bytes(1 << 16))


MISSING_FONT = OSError("cannot open resource")  # Pillow's: it has no number
VANISHED_RESULT = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "trials/s/0000.npz")


@pytest.mark.parametrize("raised", [MISSING_FONT, VANISHED_RESULT, PermissionError(errno.EACCES, "x")], ids=repr)
def test_other_errors_of_the_block_pass_unchanged(raised: OSError) -> None:
    with pytest.raises(type(raised)) as error, temporary_folder() as folder:
        raise raised
    assert error.value is raised
    assert not folder.exists()


def test_temporary_file_must_fit_into_the_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(shutil, "disk_usage", {str(tmp_path): SimpleNamespace(free=12_345)}.__getitem__)
    check_temporary_space(12_345)
    with pytest.raises(StoreError) as error:
        check_temporary_space(12_346)
    needed = f"{tmp_path} has 12,345 bytes free, 12,346 are needed"
    assert str(error.value) == f"temporary files cannot be written ({needed}): {MAKE_ROOM}"


def test_space_is_that_of_the_disk_of_temporary_files(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_temporary_space(1 << 16)
    monkeypatch.setattr(tempfile, "tempdir", str(small_disk))
    with pytest.raises(StoreError, match=rf"\({small_disk} has [0-9,]+ bytes free, 65,536 are needed\): make room"):
        check_temporary_space(1 << 16)


def test_space_in_an_absent_folder_is_an_error_that_names_tmpdir(absent: Path) -> None:
    with pytest.raises(StoreError) as error:
        check_temporary_space(1)
    reason = f"[Errno 2] No such file or directory: '{absent}'"
    assert str(error.value) == f"temporary files cannot be written ({reason}): {MAKE_ROOM}"


def test_files_that_are_written_together_are_old_or_new_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    files.write_all({one: b"old", two: b"old"})
    assert (one.read_bytes(), two.read_bytes()) == (b"old", b"old")
    replace = os.replace

    def failing(source: Path, target: Path) -> None:
        if target == two:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(StoreError, match=rf"^cannot write {re.escape(str(two))}: No space left on device"):
        files.write_all({one: b"new", two: b"new"})
    assert (one.read_bytes(), two.read_bytes()) == (b"new", b"old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


def test_folder_is_synced_once_for_the_files_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    files.write_all({tmp_path / str(number): b"" for number in range(4)})
    assert len(synced) == 5
