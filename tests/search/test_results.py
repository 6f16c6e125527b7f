"""Finished trials on disk: whole or absent, bit for bit, without a pickle."""

from __future__ import annotations

import json
import math
import os
import zipfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from insects.errors import StoreError
from insects.params import TrialParams
from insects.trial import TrialResult
from search import archive
from search.results import StudyFolder
from tests.search.studies import PARAMS, a_failure, a_plan, a_result, begun_folder, builtin_splits

CI = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example overwrites the file of the one before
)


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    folder = StudyFolder(tmp_path / "trials" / "s")
    folder.make()
    return folder


def assert_equal(one: TrialResult, other: TrialResult | None) -> None:
    assert other is not None
    for field in fields(TrialResult):
        before, after = getattr(one, field.name), getattr(other, field.name)
        if isinstance(before, np.ndarray):
            assert (before.dtype, before.shape, before.tobytes()) == (after.dtype, after.shape, after.tobytes())
        else:
            assert before == after, field.name


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
    plan = a_plan(configs=[PARAMS])
    folder = begun_folder(tmp_path, plan)
    splits, held_out = builtin_splits()
    found = folder.data()
    assert folder.exists()
    assert folder.model_name() == "insects-mlp"
    assert folder.identity()["data"]["digest"] == splits.digest == found.sample.digest
    assert found.held_out.source == held_out.source
    for name in ("train_x", "train_y", "valid_x", "valid_y", "mean", "std"):
        np.testing.assert_array_equal(getattr(found.sample, name), getattr(splits, name))
    np.testing.assert_array_equal(found.held_out.x, held_out.x)
    np.testing.assert_array_equal(found.held_out.y, held_out.y)


def test_no_file_holds_a_pickle(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_plan())
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
        archive._pack({}, history=np.array([{}], dtype=object))


def test_file_with_a_pickle_is_not_loaded(folder: StudyFolder) -> None:
    np.savez(folder.file(0), meta=np.array([{"number": 0}], dtype=object))
    assert folder.load(0) is None
    assert folder.numbers() == []


def test_absent_result_is_none(folder: StudyFolder) -> None:
    assert folder.load(3) is None
    assert StudyFolder(folder.path.parent / "other").numbers() == []


@CI
@given(share=st.floats(0, 1, exclude_max=True))
def test_truncated_result_is_set_aside(folder: StudyFolder, share: float) -> None:
    folder.save(a_result(0))
    content = folder.file(0).read_bytes()
    folder.file(0).write_bytes(content[: int(share * len(content))])
    assert folder.load(0) is None
    assert folder.numbers() == []
    assert folder.file(0).with_name("0000.npz.damaged").exists()


@CI
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_damaged_result_is_equal_or_set_aside(folder: StudyFolder, place: float, flip: int) -> None:
    result = a_result(0)
    folder.save(result)
    content = bytearray(folder.file(0).read_bytes())
    content[int(place * len(content))] ^= flip
    folder.file(0).write_bytes(content)
    loaded = folder.load(0)
    if loaded is None:
        assert folder.numbers() == []
    else:
        assert_equal(result, loaded)


def packed(changes: dict[str, object]) -> bytes:
    """The bytes of result 0, whole as an archive, with other values in it; None leaves one out."""
    meta, arrays = archive._unpack(archive.pack_result(a_result(0)))
    for name, value in changes.items():
        entries = arrays if name in ("history", "weights", "extra") else meta
        if value is None:
            del entries[name]
        else:
            entries[name] = value
    return archive._pack(meta, **arrays)


NOT_A_RESULT: dict[str, dict[str, object]] = {
    "another trial": {"number": 1},
    "no number": {"number": None},
    "number as text": {"number": "0"},
    "no params": {"params": None},
    "params of no network": {"params": {"depth": 0, "width": 8, "lr": 0.01, "batch_size": 4}},
    "params as a list": {"params": [1, 2]},
    "unknown value": {"added_later": 1},
    "unknown state": {"state": "running"},
    "state as a list": {"state": ["complete"]},
    "reason as a number": {"reason": 3},
    "time as text": {"started": "now"},
    "best epoch behind the last": {"best_epoch": 4},
    "no history": {"history": None},
    "history of other columns": {"history": np.zeros((3, 5))},
    "history as float32": {"history": np.zeros((3, 4), np.float32)},
    "weights as a matrix": {"weights": np.zeros((1, 7), np.float32)},
    "unknown array": {"extra": np.zeros(1)},
}


@pytest.mark.parametrize("kind", NOT_A_RESULT)
def test_archive_that_is_not_the_result_is_set_aside(kind: str, folder: StudyFolder) -> None:
    folder.file(0).write_bytes(packed(NOT_A_RESULT[kind]))
    assert folder.load(0) is None
    assert [path.name for path in folder.path.iterdir()] == ["0000.npz.damaged"]


def test_result_that_there_is_no_memory_for_is_not_set_aside(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise MemoryError

    folder.save(a_result(0))
    monkeypatch.setattr(np, "load", load)
    with pytest.raises(MemoryError):
        folder.load(0)
    assert folder.numbers() == [0]


def test_damaged_size_that_asks_for_more_memory_than_there_is_is_set_aside(folder: StudyFolder) -> None:
    folder.save(a_result(0))
    before, after = b"(3, 4), }", b"(3000000000, 4000000), }"
    padded = before + b" " * (len(after) - len(before))
    content = folder.file(0).read_bytes()
    assert content.count(padded) == 1
    folder.file(0).write_bytes(content.replace(padded, after))
    assert folder.load(0) is None
    assert folder.numbers() == []


def test_damaged_result_that_cannot_be_set_aside_is_an_error_that_names_it(folder: StudyFolder) -> None:
    (folder.path / "0000.npz.damaged" / "in the way").mkdir(parents=True)
    folder.file(0).write_bytes(b"no archive")
    with pytest.raises(StoreError, match=r"0000\.npz: it is damaged .*cannot be renamed \(Is a directory\)"):
        folder.load(0)
    assert folder.numbers() == [0]


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


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"model_name": 3}'])
def test_damaged_description_is_an_error_that_names_the_file(folder: StudyFolder, content: str) -> None:
    (folder.path / "study.json").write_text(content)
    with pytest.raises(StoreError, match=r"cannot read .*study\.json.*restore the file or choose another --study"):
        folder.model_name()


def test_damaged_data_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_plan())
    content = (folder.path / "data.npz").read_bytes()
    for damaged in (content[:-100], b"", b"no archive"):
        (folder.path / "data.npz").write_bytes(damaged)
        with pytest.raises(StoreError, match=r"cannot read .*data\.npz"):
            folder.data()


OTHER_DATA: dict[str, dict[str, object]] = {
    "no mean": {"mean": None},
    "mean of other features": {"mean": np.zeros(3, np.float32)},
    "rows of other features": {"valid_x": np.zeros((240, 3), np.float32)},
    "more rows than labels": {"test_x": np.zeros((3, 2), np.float32)},
    "labels of no class": {"train_y": np.full(960, 5, np.int32)},
    "labels as floats": {"train_y": np.zeros(960)},
    "no classes": {"classes": None},
    "classes as numbers": {"classes": [0, 1, 2, 3, 4]},
    "a number as classes": {"classes": 5},
    "unknown array": {"extra": np.zeros(1)},
}


@pytest.mark.parametrize("kind", OTHER_DATA)
def test_archive_that_is_not_the_data_is_an_error_that_names_the_file(kind: str, tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_plan())
    path = folder.path / "data.npz"
    meta, arrays = archive._unpack(path.read_bytes())
    for name, value in OTHER_DATA[kind].items():
        entries = meta if name == "classes" else arrays
        entries[name] = value
        if value is None:
            del entries[name]
    path.write_bytes(archive._pack(meta, **arrays))
    with pytest.raises(StoreError, match=r"cannot read .*data\.npz: it is damaged .*restore the file") as caught:
        folder.data()
    assert "\n" not in str(caught.value)


def test_description_is_plain_json(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_plan())
    assert json.loads((folder.path / "study.json").read_text())["identity"]["window"] == 4
