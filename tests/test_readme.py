"""The README: its Python runs, its help texts are those of the commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.commands import BIN, Finished
from tests.support.readme_help import README, with_help


def test_help_texts_are_those_of_the_commands() -> None:
    text = README.read_text(encoding="utf-8")
    assert "<!-- help: insects-search -->" in text
    assert with_help(text) == text, "write them with: python -m tests.support.readme_help"


def test_python_block_runs_on_a_store_without_pickle(finished: Finished, tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "mlruns").symlink_to(finished.store)  # the block names the default store
    done = subprocess.run(
        [sys.executable, "-c", f"{block}\nprint(*classes)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= set("01234")
    assert len(done.stdout.split()) == 2


def test_every_command_in_the_readme_is_installed() -> None:
    text = README.read_text(encoding="utf-8")
    for name in set(re.findall(r"\binsects-[a-z]+\b", text)) - {"insects-mlp"}:
        assert (BIN / name).exists(), name
