"""The pages in docs/: help texts and error lines are those of the code, links lead somewhere, Python runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests.support.commands import BIN, Finished
from tests.support.help_page import PAGE, help_page

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GAP = "…"


def test_help_texts_are_those_of_the_commands() -> None:
    assert PAGE.read_text(encoding="utf-8") == help_page(), "write it with: python -m tests.support.help_page"


def test_every_command_that_is_named_is_installed() -> None:
    for page in PAGES:
        for name in set(re.findall(r"\binsects-[a-z]+\b", page.read_text(encoding="utf-8"))):
            if name not in ("insects-mlp",):
                assert (BIN / name).exists(), (page.name, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_benchmark_has_a_line() -> None:
    named = set(re.findall(r"python -m benchmarks\.(\w+)", (ROOT / "docs" / "benchmarks.md").read_text()))
    runnable = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if '"__main__"' in path.read_text()}
    assert named == runnable - {"usual_pipeline"}  # which benchmarks.pipeline runs


def messages() -> list[str]:
    """The texts in the source, with a gap in place of each value."""
    found = []
    for path in [*(ROOT / "search").rglob("*.py"), *(ROOT / "insects").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else GAP for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def is_said(line: str, texts: list[str]) -> bool:
    """Whether the words between the gaps of a line follow each other in one text."""
    pattern = re.compile(".*".join(re.escape(part.strip()) for part in line.split(GAP)), re.DOTALL)
    return any(pattern.search(text) for text in texts)


def test_error_lines_are_those_of_the_source() -> None:
    quoted = re.findall(r"^### `(.*)`$", (ROOT / "docs" / "errors.md").read_text(encoding="utf-8"), re.MULTILINE)
    texts = messages()
    assert len(quoted) >= 20
    assert [line for line in quoted if not is_said(line, texts)] == []
    assert not is_said("there is no file … and never was", texts)


def test_python_block_runs_on_a_store_without_pickle(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "mlflow.md").read_text(), re.DOTALL)
    (tmp_path / "mlruns").symlink_to(finished.store)  # the block names the default store
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_registry_uri("")  # a reader has not named the registry of another store before
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - the project's own text
    assert len(names["classes"]) == 2
    assert set(names["classes"]) <= set(range(5))
