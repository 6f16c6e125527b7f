"""Who may import whom, what a start may load, and what no file may use."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
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


WINGS = {
    "system": (),
    "store": ("system",),
    "study": ("store", "system"),
    "reports": ("study", "store", "system"),
    "tracking": ("reports", "study", "store", "system"),
    "registry": ("tracking", "reports", "study", "store", "system"),
    "upload": ("registry", "tracking", "reports", "study", "store", "system"),
    "commands": ("upload", "registry", "tracking", "reports", "study", "store", "system"),
    "cli": ("commands", "upload", "registry", "tracking", "reports", "study", "store", "system"),
}
"""Each folder of `search/` and the folders that it may import."""

LIBRARIES = {
    "mlflow": ("tracking", "registry", "upload", "commands"),
    "optuna": ("study", "reports"),
    "click": ("cli", "system"),
}
"""Each library and the folders of `search/` that may import it."""


def wing_of(path: Path) -> str:
    return path.relative_to(ROOT / "search").parts[0]


def search_files() -> list[Path]:
    return [path for path in SOURCES if path.is_relative_to(ROOT / "search") and path.parent != ROOT / "search"]


def test_search_holds_its_wings_and_nothing_else() -> None:
    assert [path.name for path in SOURCES if path.parent == ROOT / "search"] == ["__init__.py"]
    assert {wing_of(path) for path in search_files()} == set(WINGS)


def test_each_wing_imports_only_the_wings_below_it() -> None:
    refused = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in search_files()
        for name in imported(path)
        if name.startswith("search.") and name.split(".")[1] not in (wing_of(path), *WINGS[wing_of(path)])
    ]
    assert refused == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_library_is_imported_by_its_wings_alone(library: str) -> None:
    among = [path for path in search_files() if wing_of(path) not in LIBRARIES[library]]
    assert importers(library, among=among) == []


def _modules(names: Iterable[str], modules: Collection[str]) -> Iterator[str]:
    """The modules among imported names; of `from package import module` the module alone."""
    found = [name for name in names if name in modules]
    return (name for name in found if not any(other.startswith(f"{name}.") for other in found))


@pytest.mark.parametrize("package", ["insects", "search"])
def test_no_file_imports_itself_by_way_of_others(package: str) -> None:
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in SOURCES}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items() if name.startswith(package)}
    graph = {name: set(_modules(imported(path), modules)) for name, path in modules.items()}
    while leaves := [name for name, others in graph.items() if not others & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert graph == {}, "these files import each other in a circle"


def test_the_core_knows_neither_the_search_nor_its_libraries() -> None:
    core = [path for path in SOURCES if path.is_relative_to(ROOT / "insects")]
    assert len(core) > 10
    assert importers("search", "optuna", "mlflow", "click", among=core) == []


def test_only_the_space_suggests() -> None:
    among = [path for path in SOURCES if "suggest_" in path.read_text(encoding="utf-8")]
    assert among == [ROOT / "search" / "study" / "space.py"]


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


@pytest.mark.parametrize(
    "statement", ["import search.cli.main", "import search.cli.main, insects.errors, insects.params"]
)
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
