"""The README: its commands print what it shows, its Python runs."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import command
from tests.support.console_blocks import ANY, console_commands, difference, studies

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")


def python_block(word: str) -> str:
    """The block of Python that holds a word."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    (found,) = (block for block in blocks if word in block)
    return found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[str]]]:
    """The folder in which the README's commands ran, and what each printed."""
    place = tmp_path_factory.mktemp("readme")
    (place / "data").mkdir()
    shutil.copy(ROOT / "data" / "penguins.csv", place / "data")
    printed = []
    for line, _ in console_commands(TEXT):
        done = command(*shlex.split(line), cwd=place)
        assert done.returncode == 0, done.stderr
        printed.append((done.stderr + done.stdout).replace(f"{place}/", "").splitlines())
    return place, printed


def test_commands_print_what_is_shown(shown: tuple[Path, list[list[str]]]) -> None:
    pages = [lines for _, lines in console_commands(TEXT)]
    masked = studies(pages[0]) != studies([line for line in shown[1][0] if "report.html" in line])
    assert len(pages) == 3
    assert [difference(page, run, masked=masked) for page, run in zip(pages, shown[1], strict=True)] == ["", "", ""]


def test_search_runs_as_a_function(shown: tuple[Path, list[list[str]]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shown[0])
    names: dict[str, Any] = {}
    exec(python_block("run_search("), names)  # noqa: S102 - the project's own text
    assert len(names["result"].trials) == 20
    assert names["accuracy"] > 0.9
    assert (names["labels"] == names["more"]["species"]).mean() > 0.9
    assert names["probabilities"].shape == (344, 3)
    assert len(list((shown[0] / "mlruns" / "trials").glob("penguins-*"))) == 1  # the command's own study went on


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_estimator_runs_in_a_grid_search() -> None:
    names: dict[str, Any] = {}
    exec(python_block("GridSearchCV"), names)  # noqa: S102 - the project's own text
    assert names["search"].best_score_ > 0.95


@pytest.mark.parametrize(
    ("page", "run", "masked", "agrees"),
    [
        (["a", ANY, "c"], ["a", "b", "b", "c"], False, True),
        (["a", ANY], ["a", "b"], False, True),
        (["a"], ["a", "b"], False, False),
        (["a", "c"], ["a", "b", "c"], False, False),
        (["a", "b"], ["a"], False, False),
        (["accuracy 0.9968"], ["accuracy 0.9903"], False, False),
        (["accuracy 0.9968"], ["accuracy  0.9903"], True, True),
        (["accuracy 0.9968, 34 of 34 right"], ["accuracy 0.9, 33 of 34 right"], True, True),
        (["34 of 34 right"], ["33 of 35 right"], True, False),
        (["344 rows, 'Adelie' 152"], ["344 rows, 'Adelie' 151"], True, True),
        (["344 rows, 'Adelie' 152"], ["343 rows, 'Adelie' 152"], True, False),
        (["      4      4    115    0.0086"], ["      3      3    12    0.0001  chosen"], True, True),
        (["penguins-25024e8a/report.html"], ["penguins-00000000/report.html"], True, True),
    ],
)
def test_output_is_compared(page: list[str], run: list[str], masked: bool, agrees: bool) -> None:
    assert (difference(page, run, masked=masked) == "") == agrees
