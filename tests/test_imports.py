"""Import rules: which file may import which, what importing the commands may load, no pickle, no circle."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import optuna
import pytest

from tests.support.commands import Finished

ROOT = Path(__file__).parents[1]


def python_files(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


SOURCES = python_files("insects", "search")
HEAVY = {"torch", "mlflow", "optuna", "pandas", "matplotlib", "numpy", "numba", "sklearn", "scipy", "rich"}

WINGS = {
    "system": (),
    "store": ("system",),
    "workers": ("system",),
    "study": ("workers", "store", "system"),
    "reports": ("study", "store", "system"),
    "tracking": ("reports", "study", "store", "system"),
    "registry": ("tracking", "reports", "study", "store", "system"),
    "upload": ("registry", "tracking", "reports", "study", "store", "system"),
    "commands": ("upload", "registry", "tracking", "reports", "study", "workers", "store", "system"),
    "cli": ("commands", "upload", "registry", "tracking", "reports", "study", "store", "system"),
    "api": ("cli", "commands", "upload", "registry", "tracking", "reports", "study", "store", "system"),
}
"""Each folder of `search/`, and the folders that it may import."""

LIBRARIES = {
    "mlflow": ("tracking", "registry", "upload", "commands"),
    "optuna": ("study", "reports", "upload"),  # the worker in `upload` imports it before it is needed
    "click": ("api", "cli", "system"),
}
"""Each library, and the folders of `search/` that may import it."""

PRIVATE_IMPORTS = {
    "search/tracking/mlflow_internals.py": {
        "mlflow.store.artifact.artifact_repository_registry.get_artifact_repository",
        "mlflow.store.db.utils",
    },
}
"""Each file that imports private parts of MLflow or Optuna, and these parts. An upgrade has to look at them."""

STORAGE_CALLS = {
    "search/study/sampler.py": {
        "create_new_trial",
        "get_study_id_from_name",
        "get_trial_id_from_study_id_trial_number",
        "set_trial_intermediate_value",
        "set_trial_state_values",
    },
}
"""Each file that calls methods of Optuna's storages, which are below its public API, and these methods."""


@cache
def nodes(path: Path) -> list[ast.AST]:
    """The syntax tree of a file, flat."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def imported(path: Path) -> Iterator[str]:
    """Every module and every name that a file imports, inside functions and under TYPE_CHECKING too."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def most_specific(names: Iterable[str]) -> set[str]:
    """The names without the packages of other names: of `from package import name` only `package.name`."""
    found = set(names)
    return {name for name in found if not any(other.startswith(f"{name}.") for other in found)}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def importers(*forbidden: str, among: Sequence[Path]) -> list[str]:
    """Files that import a forbidden module or a part of it."""
    assert among, "no file was searched"
    return [
        relative(path)
        for path in among
        if any(name == module or name.startswith(f"{module}.") for name in imported(path) for module in forbidden)
    ]


def wing_of(path: Path) -> str:
    return path.relative_to(ROOT / "search").parts[0]


def search_files() -> list[Path]:
    return [path for path in python_files("search") if path.parent != ROOT / "search"]


def test_search_holds_its_wings_and_nothing_else() -> None:
    assert [relative(path) for path in SOURCES if path.parent == ROOT / "search"] == ["search/__init__.py"]
    assert {wing_of(path) for path in search_files()} == set(WINGS)


def test_each_wing_imports_only_the_wings_below_it() -> None:
    refused = [
        f"{relative(path)} imports {name}"
        for path in search_files()
        for name in imported(path)
        if name.startswith("search.") and name.split(".")[1] not in (wing_of(path), *WINGS[wing_of(path)])
    ]
    assert refused == []


@pytest.mark.parametrize("library", LIBRARIES)
def test_each_library_is_imported_by_its_wings_alone(library: str) -> None:
    among = [path for path in search_files() if wing_of(path) not in LIBRARIES[library]]
    assert importers(library, among=among) == []


@pytest.mark.parametrize("package", ["insects", "search"])
def test_no_file_imports_itself_by_way_of_others(package: str) -> None:
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in python_files(package)}
    modules = {name.removesuffix(".__init__"): path for name, path in modules.items()}
    graph = {name: modules_among(imported(path), modules) for name, path in modules.items()}
    while leaves := [name for name, others in graph.items() if not others & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert graph == {}, "these files import each other in a circle"


def modules_among(names: Iterable[str], modules: Collection[str]) -> set[str]:
    return most_specific(name for name in names if name in modules)


def test_the_core_imports_neither_the_search_nor_its_libraries() -> None:
    assert importers("search", "optuna", "mlflow", "click", among=python_files("insects")) == []


def test_tests_and_benchmarks_never_import_each_other() -> None:
    assert importers("benchmarks", among=python_files("tests")) == []
    assert importers("tests", among=python_files("benchmarks")) == []
    assert importers("tests", "benchmarks", among=SOURCES) == []


def is_private(name: str) -> bool:
    """Whether a name of MLflow or Optuna is below its public API; all of `mlflow.store` is."""
    return re.match(r"(mlflow|optuna)\.(store\b|(.*\.)?_)", name) is not None


@pytest.mark.parametrize(
    ("name", "private"),
    [
        ("mlflow.MlflowClient", False),
        ("mlflow.entities.Run", False),
        ("mlflow.store", True),
        ("mlflow.store.db.utils", True),
        ("mlflow.tracking._tracking_service.utils", True),
        ("optuna.storages.JournalStorage", False),
        ("optuna._gp", True),
        ("optuna.storages._CachedStorage", True),
    ],
)
def test_names_of_mlflow_and_optuna_are_public_or_private(name: str, private: bool) -> None:
    assert is_private(name) == private


def test_private_parts_of_mlflow_and_optuna_are_imported_in_their_files_only() -> None:
    found = {relative(path): most_specific(filter(is_private, imported(path))) for path in SOURCES}
    assert {path: names for path, names in found.items() if names} == PRIVATE_IMPORTS


@pytest.mark.parametrize("name", sorted({name for names in PRIVATE_IMPORTS.values() for name in names}))
def test_private_part_of_mlflow_is_still_there(name: str) -> None:
    module, _, last = name.rpartition(".")
    importlib.import_module(module)
    part = getattr(sys.modules[module], last, None) or importlib.import_module(name)
    if name == "mlflow.store.db.utils":
        assert isinstance(part.MAX_RETRY_COUNT, int)


def test_methods_of_optunas_storages_are_called_by_the_sampler_only() -> None:
    public = {*dir(optuna), *dir(optuna.Study), *dir(optuna.Trial)}  # `optuna.delete_study` has the name of a method
    methods = {name for name in dir(optuna.storages.BaseStorage) if not name.startswith("_")} - public
    called = {
        relative(path): {node.attr for node in nodes(path) if isinstance(node, ast.Attribute)} & methods
        for path in SOURCES
    }
    assert {path: names for path, names in called.items() if names} == STORAGE_CALLS


def test_only_the_space_suggests() -> None:
    assert [relative(path) for path in SOURCES if "suggest_" in path.read_text(encoding="utf-8")] == [
        "search/study/space.py"
    ]


def test_no_file_can_write_or_load_a_pickle() -> None:
    allowed = {
        "insects/training/cache.py",  # numba's own cache of machine code, below the user's cache folder
        "insects/images/backbone.py",  # only to catch pickle.UnpicklingError
    }
    among = [path for path in SOURCES if relative(path) not in allowed]
    assert importers("pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", among=among) == []
    safe = {"np.load": ("allow_pickle", "False"), "torch.load": ("weights_only", "True")}
    unsafe = {"torch.save", "numpy.load", "pd.read_pickle", "eval", "exec"}
    for path in SOURCES:
        for node in nodes(path):
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func)) in {*safe, *unsafe}:
                assert name in safe, f"{path}:{node.lineno}"
                keywords = [(keyword.arg, ast.unparse(keyword.value)) for keyword in node.keywords]
                assert safe[name] in keywords, f"{path}:{node.lineno}"


def loaded_by(script: str) -> set[str]:
    """Top-level packages that a script has loaded when it ends."""
    script = f"import sys\ntry:\n    {script}\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.split()}


def test_commands_load_only_the_libraries_that_they_need(finished: Finished, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("feature1,feature2\n0.5,0.5\n")
    place = f"'--store', '{finished.store}', '--tracking-uri', 'sqlite:///{finished.store}/mlflow.db'"
    predicting = loaded_by(f"from search import cli; cli.predict(['--best', '{table}', {place}])")
    assert "numpy" in predicting
    assert {"torch", "mlflow", "sklearn", "matplotlib", "numba"} & predicting == set()
    table.write_text("feature1,feature2,labels\n0.5,0.5,1\n")  # looks at the test rows are counted
    evaluating = loaded_by(f"from search import cli; cli.evaluate(['--best', '--test', '{table}', {place}])")
    assert "mlflow" in evaluating
    assert {"torch", "sklearn", "matplotlib", "numba"} & evaluating == set()


@pytest.mark.parametrize(
    "script",
    [
        "import search.cli.main, insects.errors, insects.params",
        "from search import cli; cli.search(['--help'])",
    ],
    ids=["import", "--help"],
)
def test_start_of_a_command_loads_nothing_heavy(script: str) -> None:
    loaded = loaded_by(script)
    assert "click" in loaded
    assert HEAVY & loaded == set()
