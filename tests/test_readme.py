"""The README: its Python runs, its help texts are those of the commands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import mlflow
import pytest
from sklearn.datasets import load_iris

from tests.support.commands import BIN, Finished
from tests.support.readme_help import README, with_help


def python_blocks(word: str) -> list[str]:
    """The blocks of Python that hold a word."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if word in block]


def test_help_texts_are_those_of_the_commands() -> None:
    text = README.read_text(encoding="utf-8")
    assert "<!-- help: insects-search -->" in text
    assert with_help(text) == text, "write them with: python -m tests.support.readme_help"


def test_python_block_runs_on_a_store_without_pickle(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = python_blocks("mlflow.pyfunc")
    (tmp_path / "mlruns").symlink_to(finished.store)  # the block names the default store
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_registry_uri("")  # a reader has not named the registry of another store before
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - the project's own text
    assert len(names["classes"]) == 2
    assert set(names["classes"]) <= set(range(5))


def test_search_runs_as_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = python_blocks("run_search(")
    x, y = load_iris(return_X_y=True, as_frame=True)
    x.assign(species=y.map({0: "setosa", 1: "versicolor", 2: "virginica"})).to_csv(
        tmp_path / "flowers.csv", index=False
    )
    x.iloc[::10].to_csv(tmp_path / "more.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - the project's own text
    assert len(names["result"].trials) == 20
    assert names["accuracy"] > 0.9
    assert (names["labels"] == ["setosa"] * 5 + ["versicolor"] * 5 + ["virginica"] * 5).mean() > 0.9
    assert names["probabilities"].shape == (15, 3)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimator_runs_in_a_grid_search() -> None:
    (block,) = python_blocks("GridSearchCV")
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - the project's own text
    assert names["search"].best_score_ > 0.95


def test_every_command_in_the_readme_is_installed() -> None:
    text = README.read_text(encoding="utf-8")
    for name in set(re.findall(r"\binsects-[a-z]+\b", text)) - {"insects-mlp"}:
        assert (BIN / name).exists(), name
