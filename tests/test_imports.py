"""Who may import whom, what a start may load, and what no file may use."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(path for package in ("insects", "search") for path in (ROOT / package).rglob("*.py"))
HEAVY = {"torch", "mlflow", "optuna", "pandas", "matplotlib", "numpy", "numba", "sklearn", "scipy"}


def imported(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, at its top, inside a function or under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(*forbidden: str, among: list[Path]) -> list[str]:
    """Files that import a forbidden module or something in it."""
    return [
        str(path.relative_to(ROOT))
        for path in among
        if any(name == module or name.startswith(f"{module}.") for name in imported(path) for module in forbidden)
    ]


def files(*names: str) -> list[Path]:
    found = [ROOT / "search" / f"{name}.py" for name in names]
    assert all(path.exists() for path in found)
    return found


def test_the_core_knows_neither_the_search_nor_its_libraries() -> None:
    core = [path for path in SOURCES if path.is_relative_to(ROOT / "insects")]
    assert len(core) > 10
    assert importers("search", "optuna", "mlflow", "click", among=core) == []


def test_the_loop_and_what_it_stands_on_never_import_mlflow() -> None:
    loop = files("study", "sampling", "space", "stopping", "ledger", "results", "plan", "interrupts", "session")
    loop += files("data_request", "image_data", "image_record", "timing")
    assert importers("mlflow", among=loop) == []


def test_what_writes_to_mlflow_never_imports_optuna() -> None:
    among = files("tracking", "registry", "store", "courier", "exporter", "evaluating", "evaluated", "evaluated_images")
    among += files("program")
    assert importers("optuna", among=among) == []


def test_nothing_imports_the_commands() -> None:
    assert importers("search.cli", among=SOURCES) == []


def test_only_the_space_suggests() -> None:
    among = [path for path in SOURCES if "suggest_" in path.read_text(encoding="utf-8")]
    assert among == files("space")


def test_no_file_can_write_or_load_a_pickle() -> None:
    allowed = {
        ROOT / "insects" / "training" / "cache.py",  # numba's own cache of machine code, below the user's cache folder
        ROOT / "insects" / "images" / "backbone.py",  # only to catch pickle.UnpicklingError
    }
    among = [path for path in SOURCES if path not in allowed]
    assert importers("pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", among=among) == []
    safe = {"np.load": ("allow_pickle", "False"), "torch.load": ("weights_only", "True")}
    unsafe = {"torch.save", "numpy.load", "pd.read_pickle", "eval", "exec"}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in {*safe, *unsafe}:
                assert name in safe, f"{path}:{node.lineno}"
                keywords = [(keyword.arg, ast.unparse(keyword.value)) for keyword in node.keywords]
                assert safe[name] in keywords, f"{path}:{node.lineno}"


@pytest.mark.parametrize("statement", ["import search.cli", "import search.cli, insects.errors, insects.params"])
def test_importing_the_commands_loads_nothing_heavy(statement: str) -> None:
    script = f"import sys; {statement}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "click" in loaded
    assert HEAVY & set(loaded) == set()


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from search import cli\ntry: cli.search(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert HEAVY & {name.partition(".")[0] for name in done.stderr.split()} == set()
