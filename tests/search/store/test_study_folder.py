"""Finished trials on disk: whole or absent, bit for bit, without a pickle."""

from __future__ import annotations

import json
import math
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insects.errors import StoreError
from insects.params import TrialParams
from search.store import serialization
from search.store.study_folder import StudyFolder
from tests.support.stored_results import CI, assert_equal
from tests.support.studies import PARAMS, a_config, a_failure, a_result, begun_folder, builtin_splits


@CI
@given(losses=st.lists(st.floats(), max_size=5), lr=st.floats(5e-324, 1.7e308), number=st.integers(0, 10**6))
def test_result_comes_back_bit_for_bit(folder: StudyFolder, losses: list[float], lr: float, number: int) -> None:
    params = TrialParams(depth=2, width=9, lr=lr, batch_size=3)
    result = a_result(number, params, losses, reason="why:\n  ünïcode")
    folder.save(result)
    assert_equal(result, folder.load(number))


def test_failed_and_diverged_results_come_back_bit_for_bit(folder: StudyFolder) -> None:
    for result in (a_failure(0), a_result(1, losses=(2.0, math.nan)), a_result(2, losses=(math.inf,))):
        folder.save(result)
        assert_equal(result, folder.load(result.number))
    assert folder.numbers() == [0, 1, 2]


def test_study_description_and_data_come_back_equal(tmp_path: Path) -> None:
    plan = a_config(configs=[PARAMS])
    folder = begun_folder(tmp_path, plan)
    splits, held_out = builtin_splits()
    found = folder.data()
    assert folder.exists()
    assert folder.model_name == "insects-mlp"
    assert folder.fingerprint["data"]["digest"] == splits.digest == found.sample.digest
    assert found.held_out.source == held_out.source
    for name in ("train_x", "train_y", "valid_x", "valid_y", "mean", "std"):
        np.testing.assert_array_equal(getattr(found.sample, name), getattr(splits, name))
    np.testing.assert_array_equal(found.held_out.x, held_out.x)
    np.testing.assert_array_equal(found.held_out.y, held_out.y)


def test_no_file_holds_a_pickle(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config())
    folder.save(a_result(0))
    for path in folder.path.glob("*.npz"):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as member:
                    major, minor = np.lib.format.read_magic(member)
                    assert (major, minor) == (1, 0)
                    assert not np.lib.format.read_array_header_1_0(member)[2].hasobject


def test_object_array_is_never_written() -> None:
    with pytest.raises(ValueError, match="pickle"):
        serialization._pack({}, history=np.array([{}], dtype=object))


def test_absent_result_is_none(folder: StudyFolder) -> None:
    assert folder.load(3) is None
    assert StudyFolder(folder.path.parent / "other").numbers() == []


def test_result_that_cannot_be_read_is_an_error_that_names_it(folder: StudyFolder) -> None:
    folder.file(0).mkdir()
    with pytest.raises(StoreError, match=r"cannot read .*0000\.npz: Is a directory; choose another --store"):
        folder.load(0)


def test_failed_write_tells_why_though_its_temporary_file_cannot_be_removed(folder: StudyFolder) -> None:
    (folder.path / ".0000.npz.part").mkdir()
    with pytest.raises(StoreError, match=r"cannot write .*0000\.npz: Is a directory; what is finished is kept"):
        folder.save(a_result(0))


def test_only_files_named_as_results_are_counted(folder: StudyFolder) -> None:
    folder.save(a_result(7))
    for name in ("7.npz", "٣.npz", "0008.npz.damaged", "0009.txt", "data.npz"):
        (folder.path / name).write_bytes(b"")
    assert folder.numbers() == [7]


def test_interrupted_write_leaves_the_old_file_and_its_temporary_file_does_not_stay(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.save(a_result(0, losses=(1.0,)))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot write .*0000\.npz: No space left on device; .* run the same command"):
        folder.save(a_result(0, losses=(2.0,)))
    monkeypatch.undo()
    assert_equal(a_result(0, losses=(1.0,)), folder.load(0))
    assert [path.name for path in folder.path.iterdir()] == ["0000.npz"]


def test_file_left_by_a_killed_writer_is_replaced(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(Killed):
        folder.save(a_result(0))
    monkeypatch.undo()
    assert folder.numbers() == []
    monkeypatch.setattr(os, "getpid", lambda: 12345)  # the restart is another process
    folder.save(a_result(0))
    assert [path.name for path in folder.path.iterdir()] == ["0000.npz"]


def test_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "trials").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot create .*trials/s: Not a directory; choose another --store"):
        StudyFolder(tmp_path / "trials" / "s").make()


def test_description_is_plain_json(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config())
    assert json.loads((folder.path / "study.json").read_text())["identity"]["window"] == 4


def test_file_its_name_and_its_folder_are_on_the_disk_in_this_order(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut leaves is what had been synced: no test can pull the plug, but the order of the calls tells."""
    done: list[tuple[str, int]] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        fsync(descriptor)
        done.append(("sync", os.fstat(descriptor).st_ino))

    def replaced(source: Path, target: Path) -> None:
        replace(source, target)
        done.append(("replace", target.stat().st_ino))

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    folder.save(a_result(0))
    file, own, above = (path.stat().st_ino for path in (folder.file(0), folder.path, folder.path.parent))
    assert done == [("sync", file), ("replace", file), ("sync", own)]
    done.clear()
    folder.make()
    assert done == [("sync", above)]
