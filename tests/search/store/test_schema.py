"""JSON files of a study that were damaged or edited: the error names the file and the part."""

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

SCHEMA = {"rows": int, "folder": str | None, "lr": [float | int, float | int], "pairs": [[str, int]]}
VALUE = {"rows": 5, "folder": None, "lr": [1, 0.5], "pairs": [["a", 1], ["b", 2]], "more": object()}


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
def test_part_of_another_type_is_named(change: dict[str, Any], part: str) -> None:
    check_schema(VALUE, SCHEMA, "it")
    with pytest.raises(TypeError) as error:
        check_schema({**VALUE, **change}, SCHEMA, "it")
    assert str(error.value) == f"its {part} is not what was written"


def test_missing_part_is_named() -> None:
    for part in SCHEMA:
        rest = {key: value for key, value in VALUE.items() if key != part}
        with pytest.raises(TypeError, match=rf"its it\.{part} is not"):
            check_schema(rest, SCHEMA, "it")
    with pytest.raises(TypeError, match="its it is not"):
        check_schema([], SCHEMA, "it")


PARTS = [("data",), ("data", "digest"), ("data", "train_rows"), ("space", "lr"), ("seed",)]


@pytest.mark.parametrize("keys", [("id",), ("source",), *[("fingerprint", *part) for part in PARTS]])
def test_damaged_study_file_is_an_error_that_names_the_part(keys: tuple[str, ...], tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, a_config())
    path = folder.path / "study.json"
    study = json.loads(path.read_text())
    assert folder.fingerprint == study["fingerprint"]
    parent = study
    for key in keys[:-1]:
        parent = parent[key]
    del parent[keys[-1]]
    path.write_text(json.dumps(study))
    with pytest.raises(StoreError) as error:
        _ = folder.fingerprint
    part = ".".join(("content", *keys))
    hint = "restore the file or choose another --study"
    assert str(error.value) == f"cannot read {path}: its {part} is not what was written; {hint}"


@pytest.mark.parametrize("damage", [{"samples": [["a.png"]]}, {"counts": None}, {"description": {}}, {"size": "16"}])
def test_damaged_image_manifest_is_an_error_that_names_the_part(
    damage: dict[str, Any], searched: Searched, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path)
    for name in ("study.json", "images.json"):
        (tmp_path / name).write_bytes((searched.folder.path / name).read_bytes())
    manifest = json.loads((tmp_path / "images.json").read_text())
    assert folder.images() == searched.folder.images()
    (tmp_path / "images.json").write_text(json.dumps({**manifest, **damage}))
    (part,) = damage
    with pytest.raises(StoreError, match=rf"its content\.{part}.* is not what was written; restore the file") as error:
        folder.images()
    assert str(error.value).startswith(f"cannot read {tmp_path / 'images.json'}: ")
    (tmp_path / "images.json").write_text(json.dumps({**manifest, "more": 1}))
    with pytest.raises(StoreError, match=r"images\.json: .* unexpected keyword argument 'more'; restore the file"):
        folder.images()
