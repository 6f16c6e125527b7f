"""A description that somebody changed is damage that is told, with its place, wherever it is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from insects.errors import StoreError
from search.store.schema import check_schema
from search.store.study_folder import StudyFolder
from tests.support.image_search import Searched
from tests.support.studies import a_config, begun_folder

KINDS = {"rows": int, "folder": str | None, "lr": [float | int, float | int], "pairs": [[str, int]]}
WHOLE = {"rows": 5, "folder": None, "lr": [1, 0.5], "pairs": [["a", 1], ["b", 2]], "more": object()}


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"rows": "5"}, "it.rows"),
        ({"folder": 5}, "it.folder"),
        ({"lr": [1]}, "it.lr"),
        ({"lr": [1, "2"]}, "it.lr[1]"),
        ({"pairs": {}}, "it.pairs"),
        ({"pairs": [["a", 1], ["b"]]}, "it.pairs[1]"),
    ],
)
def test_part_of_another_kind_is_named(change: dict[str, Any], part: str) -> None:
    check_schema(WHOLE, KINDS, "it")
    with pytest.raises(TypeError) as error:
        check_schema({**WHOLE, **change}, KINDS, "it")
    assert str(error.value) == f"its {part} is not what was written"


def test_part_that_is_missing_is_named() -> None:
    for part in KINDS:
        rest = {key: value for key, value in WHOLE.items() if key != part}
        with pytest.raises(TypeError, match=rf"its it\.{part} is not"):
            check_schema(rest, KINDS, "it")
    with pytest.raises(TypeError, match="its it is not"):
        check_schema([], KINDS, "it")


@pytest.mark.parametrize("keys", [("data",), ("data", "digest"), ("data", "train_rows"), ("space", "lr"), ("seed",)])
def test_damaged_identity_is_an_error_that_names_file_and_part(keys: tuple[str, ...], tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config())
    path = folder.path / "study.json"
    description = json.loads(path.read_text())
    assert folder.fingerprint == description["identity"]
    parent = description["identity"]
    for key in keys[:-1]:
        parent = parent[key]
    del parent[keys[-1]]
    path.write_text(json.dumps(description))
    with pytest.raises(StoreError) as error:
        folder.fingerprint
    part = ".".join(keys)
    hint = "restore the file or choose another --study"
    assert str(error.value) == f"cannot read {path}: its description.identity.{part} is not what was written; {hint}"
    assert folder.model_name == "insects-mlp"


@pytest.mark.parametrize("damage", [{"samples": [["a.png"]]}, {"counts": None}, {"description": {}}, {"size": "16"}])
def test_damaged_image_record_is_an_error(damage: dict[str, Any], searched: Searched, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    for name in ("study.json", "images.json"):
        (tmp_path / name).write_bytes((searched.folder.path / name).read_bytes())
    record = json.loads((tmp_path / "images.json").read_text())
    assert folder.images() == searched.folder.images()
    (tmp_path / "images.json").write_text(json.dumps({**record, **damage}))
    (part,) = damage
    with pytest.raises(StoreError, match=rf"cannot read .*images\.json: its description\.{part}.*; restore the file"):
        folder.images()
