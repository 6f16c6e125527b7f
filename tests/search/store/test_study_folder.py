"""The files of a study: complete or absent, equal bit for bit, without a pickle; damaged ones are reported."""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insects.baselines import Score
from insects.errors import StoreError
from insects.final import FoldResult
from insects.params import TrialParams
from search.store import serialization
from search.store.final_record import FinalRecord
from search.store.study_folder import StudyFolder, UploadRecord
from tests.support.encoders import plain_encoder
from tests.support.stored_results import CI, assert_equal
from tests.support.studies import PARAMS, a_config, a_failure, a_result, begun_folder, builtin_data, builtin_splits


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


def test_results_without_weights_are_all_finished_trials_by_number(folder: StudyFolder) -> None:
    results = [a_result(10), a_failure(2), a_result(7, losses=(0.5,), state="pruned")]
    for result in results:
        folder.save(result)
    folder.file(5).write_bytes(b"damaged")
    found = folder.results_without_weights()
    assert [result.number for result in found] == [2, 7, 10]
    for result in sorted(results, key=lambda result: result.number):
        assert_equal(replace(result, weights=np.empty(0, np.float32)), found.pop(0))
    assert folder.numbers() == [2, 7, 10]
    assert StudyFolder(folder.path.parent / "other").results_without_weights() == []


def test_networks_of_a_final_and_its_outcome_come_back(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config())
    y = np.array([0, 2, 1], np.int32)
    whole = FoldResult(a_result(7), 1, np.arange(9, dtype=np.float32).reshape(3, 3), y)
    lost = FoldResult(a_result(7, losses=(math.nan,)), 0, np.empty((0, 3), np.float32), y)
    for result in (whole, lost):
        folder.save_fold(result)
        found = folder.load_fold(7, result.fold)
        assert found is not None
        assert_equal(result.trial, found.trial)
        np.testing.assert_array_equal(found.logits, result.logits)
        np.testing.assert_array_equal(found.y, y)
    assert folder.load_fold(7, 2) is None
    assert folder.load_finalist(7, 3) is None
    finalist = folder.load_finalist(7, 2)
    assert finalist is not None
    assert ([fold.fold for fold in finalist.folds], finalist.is_sound) == ([0, 1], False)
    assert folder.numbers() == []
    assert (folder.final(), folder.folds(), folder.baselines()) == (None, None, [])
    record = FinalRecord("digest", 2, [7, 3], 3, 0.5, [0.25, 0.75], 1.5)
    folder.save_final(record)
    folder.save_baselines([Score("majority", 0.5, 0.75)])
    rows = folder.fingerprint["data"]
    fold_N = np.arange(rows["train_rows"] + rows["valid_rows"]) % 5 - 1
    folder.save_folds(fold_N)
    assert folder.final() == record
    assert folder.baselines() == [Score("majority", 0.5, 0.75)]
    np.testing.assert_array_equal(folder.folds(), fold_N)


def test_network_of_another_fold_is_set_aside(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config())
    folder.save_fold(FoldResult(a_result(7), 1, np.zeros((2, 3), np.float32), np.zeros(2, np.int32)))
    folder.fold_file(7, 1).rename(folder.fold_file(7, 2))
    assert folder.load_fold(7, 2) is None
    assert [path.name for path in folder.path.glob("*.damaged")] == ["final-0007-2.npz.damaged"]


def test_study_and_its_data_are_read_as_they_were_written(tmp_path: Path) -> None:
    config = a_config(configs=[PARAMS])
    folder = begun_folder(tmp_path, config)
    splits, test = builtin_splits()
    found = folder.data()
    assert folder.exists()
    assert folder.fingerprint == json.loads(json.dumps(config.fingerprint(builtin_data())))
    assert (folder.model_name, folder.source) == ("insects-mlp", "built-in insects_train.csv")
    assert folder.images() is None
    assert found.sample.digest == splits.digest
    assert found.test.source == test.source
    for name in ("train_x", "train_y", "valid_x", "valid_y"):
        np.testing.assert_array_equal(getattr(found.sample, name), getattr(splits, name))
    np.testing.assert_array_equal(found.sample.encoder.mean, splits.encoder.mean)
    np.testing.assert_array_equal(found.sample.encoder.transform(found.train_raw), splits.train_x)
    np.testing.assert_array_equal(found.sample.encoder.transform(found.valid_raw), splits.valid_x)
    np.testing.assert_array_equal(folder.seen(), builtin_data().seen)
    table = folder.table()
    assert table is not None
    assert (table.target, table.model_columns.names) == ("labels", ("feature1", "feature2"))
    np.testing.assert_array_equal(found.test.x, test.x)
    np.testing.assert_array_equal(found.test.y, test.y)


def test_each_study_has_an_id_of_its_own_that_stays(tmp_path: Path) -> None:
    one, other = begun_folder(tmp_path, a_config(), "one"), begun_folder(tmp_path, a_config(), "other")
    assert re.fullmatch("[0-9a-f]{16}", one.id)
    assert one.id != other.id
    before = (one.id, one.fingerprint, one.source)
    one.rename_model("another")
    assert one.model_name == "another"
    assert (one.id, one.fingerprint, one.source) == before


def test_upload_record_is_read_as_it_was_written(folder: StudyFolder) -> None:
    assert folder.upload_record() is None
    for version in ("3", None):
        record = UploadRecord("postgresql://me:…@host/db", "ab" * 32, "insects-mlp", version)
        folder.save_upload_record(record)
        assert folder.upload_record() == record
    assert [path.name for path in folder.path.iterdir()] == ["uploaded.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b"3", b"\xff", b'{"trials": "ab", "more": 2}'])
def test_damaged_upload_record_is_none(folder: StudyFolder, content: bytes) -> None:
    (folder.path / "uploaded.json").write_bytes(content)
    assert folder.upload_record() is None


def test_upload_record_that_cannot_be_read_is_none(folder: StudyFolder) -> None:
    (folder.path / "uploaded.json").mkdir()
    assert folder.upload_record() is None


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


def test_array_of_objects_is_never_written() -> None:
    with pytest.raises(ValueError, match="pickle"):
        serialization._pack({}, history=np.array([{}], dtype=object))


def test_absent_result_is_none(folder: StudyFolder) -> None:
    assert folder.load(3) is None
    assert StudyFolder(folder.path.parent / "other").numbers() == []


def test_result_that_cannot_be_read_is_an_error_that_names_it(folder: StudyFolder) -> None:
    folder.file(0).mkdir()
    with pytest.raises(StoreError, match=r"cannot read .*0000\.npz: Is a directory; choose another --store"):
        folder.load(0)


def test_failed_write_names_the_cause_though_its_temporary_file_cannot_be_removed(folder: StudyFolder) -> None:
    (folder.path / ".0000.npz.part").mkdir()
    with pytest.raises(StoreError, match=r"cannot write .*0000\.npz: Is a directory; finished trials are kept"):
        folder.save(a_result(0))


def test_only_files_with_the_name_of_a_result_count(folder: StudyFolder) -> None:
    folder.save(a_result(7))
    for name in ("7.npz", "٣.npz", "0008.npz.damaged", "0009.txt", "data.npz"):
        (folder.path / name).write_bytes(b"")
    assert folder.numbers() == [7]


def test_failed_write_leaves_the_old_file_and_no_temporary_one(
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
    monkeypatch.setattr(os, "getpid", lambda: 12345)  # of the restarted search
    folder.save(a_result(0))
    assert [path.name for path in folder.path.iterdir()] == ["0000.npz"]


def test_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "trials").write_text("a file")
    with pytest.raises(StoreError, match=r"cannot create .*trials/s: Not a directory; choose another --store"):
        StudyFolder(tmp_path / "trials" / "s").make()


def test_file_is_synced_before_its_name_and_its_folder_after(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test can cut the power: the order of the calls stands for it."""
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


def test_file_with_a_pickle_is_not_loaded(folder: StudyFolder) -> None:
    np.savez(folder.file(0), meta=np.array([{"number": 0}], dtype=object))
    assert folder.load(0) is None
    assert folder.numbers() == []


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
    """A valid archive of result 0 with other values in it; None leaves a value out."""
    meta, arrays = serialization._unpack(serialization.pack_result(a_result(0)))
    for name, value in changes.items():
        entries = arrays if name in ("history", "weights", "extra") else meta
        if value is None:
            del entries[name]
        else:
            entries[name] = value
    return serialization._pack(meta, **arrays)


def test_result_from_before_there_were_metrics_is_one_by_loss(folder: StudyFolder) -> None:
    folder.file(0).write_bytes(packed({"metric": None}))
    assert_equal(a_result(0), folder.load(0))


def test_result_by_another_metric_comes_back_with_its_score(folder: StudyFolder) -> None:
    result = a_result(0, losses=(0.5, 0.25), metric="balanced-accuracy")
    folder.save(result)
    assert_equal(result, folder.load(0))
    assert folder.results_without_weights()[0].parameters == 7


NOT_A_RESULT: dict[str, dict[str, object]] = {
    "another trial": {"number": 1},
    "no number": {"number": None},
    "number as text": {"number": "0"},
    "no params": {"params": None},
    "params of no network": {"params": {"depth": -1, "width": 8, "lr": 0.01, "batch_size": 4}},
    "params as a list": {"params": [1, 2]},
    "unknown value": {"added_later": 1},
    "unknown state": {"state": "running"},
    "state as a list": {"state": ["complete"]},
    "reason as a number": {"reason": 3},
    "time as text": {"started": "now"},
    "best epoch behind the last": {"best_epoch": 4},
    "no history": {"history": None},
    "history of other columns": {"history": np.zeros((3, 5))},
    "history without the metric": {"metric": "roc-auc"},
    "history beside another metric": {"metric": "accuracy", "history": np.zeros((3, 5))},
    "unknown metric": {"metric": "f1"},
    "history as float32": {"history": np.zeros((3, 4), np.float32)},
    "weights as a matrix": {"weights": np.zeros((1, 7), np.float32)},
    "unknown array": {"extra": np.zeros(1)},
}


@pytest.mark.parametrize("kind", NOT_A_RESULT)
def test_archive_that_is_not_the_result_is_set_aside(kind: str, folder: StudyFolder) -> None:
    folder.file(0).write_bytes(packed(NOT_A_RESULT[kind]))
    assert folder.load(0) is None
    assert [path.name for path in folder.path.iterdir()] == ["0000.npz.damaged"]


def test_result_is_not_set_aside_when_memory_is_short(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object, **__: object) -> None:
        raise MemoryError

    folder.save(a_result(0))
    monkeypatch.setattr(np, "load", load)
    with pytest.raises(MemoryError):
        folder.load(0)
    assert folder.numbers() == [0]


def test_damaged_result_that_cannot_be_set_aside_is_an_error_that_names_it(folder: StudyFolder) -> None:
    (folder.path / "0000.npz.damaged" / "in the way").mkdir(parents=True)
    folder.file(0).write_bytes(b"no archive")
    with pytest.raises(StoreError, match=r"0000\.npz: it is damaged .*cannot be renamed \(Is a directory\)"):
        folder.load(0)
    assert folder.numbers() == [0]


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"model_name": 3}'])
def test_damaged_study_file_is_an_error_that_names_it(folder: StudyFolder, content: str) -> None:
    (folder.path / "study.json").write_text(content)
    with pytest.raises(StoreError, match=r"cannot read .*study\.json: .*; restore the file or choose another --study$"):
        _ = folder.model_name


def test_damaged_data_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config())
    content = (folder.path / "data.npz").read_bytes()
    for damaged in (content[:-100], b"", b"no archive"):
        (folder.path / "data.npz").write_bytes(damaged)
        with pytest.raises(StoreError, match=r"cannot read .*data\.npz"):
            folder.data()


OTHER_DATA: dict[str, dict[str, object]] = {
    "no encoder": {"encoder": None},
    "encoder of other columns": {"encoder": plain_encoder("abc").as_dict()},
    "rows of other columns": {"valid_raw": np.zeros((240, 3), np.float32)},
    "more rows than labels": {"test_x": np.zeros((3, 2), np.float32)},
    "labels of no class": {"train_y": np.full(960, 5, np.int32)},
    "labels as floats": {"train_y": np.zeros(960)},
    "no classes": {"classes": None},
    "classes as numbers": {"classes": [0, 1, 2, 3, 4]},
    "a number as classes": {"classes": 5},
}


@pytest.mark.parametrize("kind", OTHER_DATA)
def test_archive_that_is_not_the_data_is_an_error_that_names_the_file(kind: str, tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config())
    path = folder.path / "data.npz"
    meta, arrays = serialization._unpack(path.read_bytes())
    for name, value in OTHER_DATA[kind].items():
        entries = meta if name in meta else arrays
        entries[name] = value
        if value is None:
            del entries[name]
    path.write_bytes(serialization._pack(meta, **arrays))
    with pytest.raises(StoreError, match=r"cannot read .*data\.npz: it is damaged .*restore the file") as caught:
        folder.data()
    assert "\n" not in str(caught.value)
