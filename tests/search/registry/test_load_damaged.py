"""Damaged and missing files of a registered model: one line, whose advice works."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from insects.errors import StoreError
from search.registry.load import load_model
from tests.search.registry.test_load import URI
from tests.support.commands import client_of, invoke, own
from tests.support.registered_studies import registered, study_of


def test_missing_model_files_are_one_line(store: Path) -> None:
    registered(store, study_of(store, "s", 0))
    shutil.rmtree(store / "artifacts" / "s" / "models")
    with pytest.raises(
        StoreError, match=rf"the files of {URI} are damaged \(No such artifact: 'MLmodel'\): restore them"
    ):
        load_model(own(store), URI)


def edited(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(files: Path) -> None:
        (files / name).write_bytes(edit((files / name).read_bytes()))

    return damage


DAMAGE: dict[str, Callable[[Path], None]] = {
    "program emptied": edited("data/model.pt2", lambda content: b""),
    "program cut short": edited("data/model.pt2", lambda content: content[: len(content) // 3]),
    "program without its end": edited("data/model.pt2", lambda content: content[:-100]),
    "program altered": edited("data/model.pt2", lambda content: content[:500] + content[500:900][::-1] + content[900:]),
    "no program": lambda files: (files / "data" / "model.pt2").unlink(),
    "no data": lambda files: shutil.rmtree(files / "data"),
    "no description": lambda files: (files / "MLmodel").unlink(),
    "description emptied": edited("MLmodel", lambda content: b""),
    "description is no YAML": edited("MLmodel", lambda content: b"{: ["),
    "description is a list": edited("MLmodel", lambda content: b"- 1"),
    "description is no text": edited("MLmodel", lambda content: b"\xff\xfe\x00"),
    "metadata is a number": edited("MLmodel", lambda content: b"flavors: [1]\nmetadata: 3"),
}


@pytest.fixture(scope="module")
def one_model(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A store with one registered model."""
    store = tmp_path_factory.mktemp("one-model")
    shutil.copy(empty_database, store)
    registered(store, study_of(store, "s", 0))
    return store


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_model_files_are_one_line_of_the_command(
    kind: str, one_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files,) = (one_model / "artifacts" / "s" / "models").glob("*/artifacts")
    shutil.copytree(files, tmp_path / "whole")
    try:
        DAMAGE[kind](files)
        done = invoke(monkeypatch, "evaluate", "--best", "--store", str(one_model))
    finally:
        shutil.rmtree(files)
        shutil.copytree(tmp_path / "whole", files)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: the files of {URI} are damaged (")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith(
        "): restore them, choose another --model, or delete the version's logged model in MLflow and run the same "
        "insects-search command with another --model-name, which registers the best trial again\n"
    )


def test_damaged_model_that_is_deleted_is_registered_again_under_another_name(store: Path) -> None:
    folder = study_of(store, "s", 0)
    registered(store, folder)
    (program,) = store.rglob("model.pt2")
    program.write_bytes(b"")
    client = client_of(store)
    (version,) = client.search_model_versions("name = 'insects-mlp'")
    client.delete_logged_model(str(version.source).rpartition("/")[2])
    again = registered(store, folder, "moths")
    assert (again.version, again.uri) == ("1", "models:/moths@best")
    table = load_model(own(store), again.uri).table
    assert table is not None
    assert table.columns.names == ("feature1", "feature2")
    assert program.read_bytes() == b""


def test_model_with_code_is_refused_and_its_code_is_not_imported(one_model: Path, tmp_path: Path) -> None:
    (files,) = (one_model / "artifacts" / "s" / "models").glob("*/artifacts")
    shutil.copytree(files, tmp_path / "whole")
    try:
        edited("MLmodel", lambda content: content.replace(b"code: null", b"code: code"))(files)
        (files / "code").mkdir()
        (files / "code" / "comes_with_a_model.py").write_text("")
        with pytest.raises(StoreError, match=r"needs pickle or code to load \(its data holds model\.pt2\)"):
            load_model(own(one_model), URI)
    finally:
        shutil.rmtree(files)
        shutil.copytree(tmp_path / "whole", files)
    assert importlib.util.find_spec("comes_with_a_model") is None
