"""Files of a study that are not what was written: set aside, or an error that names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from insects.errors import StoreError
from search.store import serialization
from search.store.study_folder import StudyFolder
from tests.support.stored_results import CI, assert_equal
from tests.support.studies import a_config, a_result, begun_folder


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
    """The bytes of result 0, whole as an archive, with other values in it; None leaves one out."""
    meta, arrays = serialization._unpack(serialization.pack_result(a_result(0)))
    for name, value in changes.items():
        entries = arrays if name in ("history", "weights", "extra") else meta
        if value is None:
            del entries[name]
        else:
            entries[name] = value
    return serialization._pack(meta, **arrays)


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


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '{"model_name": 3}'])
def test_damaged_description_is_an_error_that_names_the_file(folder: StudyFolder, content: str) -> None:
    (folder.path / "study.json").write_text(content)
    with pytest.raises(StoreError, match=r"cannot read .*study\.json.*restore the file or choose another --study"):
        folder.model_name


def test_damaged_data_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config())
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
    folder = begun_folder(tmp_path, a_config())
    path = folder.path / "data.npz"
    meta, arrays = serialization._unpack(path.read_bytes())
    for name, value in OTHER_DATA[kind].items():
        entries = meta if name == "classes" else arrays
        entries[name] = value
        if value is None:
            del entries[name]
    path.write_bytes(serialization._pack(meta, **arrays))
    with pytest.raises(StoreError, match=r"cannot read .*data\.npz: it is damaged .*restore the file") as caught:
        folder.data()
    assert "\n" not in str(caught.value)
