"""The README: its Python runs, its help texts are those of the commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests.support.commands import BIN, Finished
from tests.support.readme_help import README, with_help


def test_help_texts_are_those_of_the_commands() -> None:
    text = README.read_text(encoding="utf-8")
    assert "<!-- help: insects-search -->" in text
    assert with_help(text) == text, "write them with: python -m tests.support.readme_help"


def test_python_block_runs_on_a_store_without_pickle(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "mlruns").symlink_to(finished.store)  # the block names the default store
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_registry_uri("")  # a reader has not named the registry of another store before
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - the project's own text
    assert len(names["classes"]) == 2
    assert set(names["classes"]) <= set(range(5))


def test_every_command_in_the_readme_is_installed() -> None:
    text = README.read_text(encoding="utf-8")
    for name in set(re.findall(r"\binsects-[a-z]+\b", text)) - {"insects-mlp"}:
        assert (BIN / name).exists(), name
