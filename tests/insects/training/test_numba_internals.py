"""Private parts of numba are used in one file only, and these are all of them."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
INTERNALS = PROJECT / "insects" / "training" / "numba_internals.py"
PUBLIC = ("numba", "numba.extending", "numba.types", "numba.typed", "llvmlite", "llvmlite.ir", "llvmlite.binding")

IMPORTED = {
    "numba.core.caching.CompileResultCacheImpl",
    "numba.core.caching.FunctionCache",
    "numba.core.caching._CacheLocator",
    "numba.core.codegen.get_host_cpu_features",
    "numba.core.serialize.dumps",
    "numba.misc.appdirs.AppDirs",
}
ATTRIBUTES = {
    "numba.core.caching.CompileResultCacheImpl": ["_locator_classes", "reduce", "rebuild"],
    "numba.core.caching.FunctionCache": ["_impl_class", "cache_path", "flush", "load_overload", "save_overload"],
    "numba.core.caching._CacheLocator": [
        *("ensure_cache_path", "from_function", "get_cache_path", "get_disambiguator", "get_source_stamp"),
    ],
    "numba.core.dispatcher.Dispatcher": ["enable_caching"],
    "numba.core.base.BaseContext": ["get_data_type", "get_dummy_value", "make_array"],
    "numba.misc.appdirs.AppDirs": ["user_cache_dir"],
}
"""What the subclasses and functions of `insects.training` override, call or set, by its class."""


def imported(path: Path) -> Iterator[str]:
    """Every name that a file imports from numba or llvmlite."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] in ("numba", "llvmlite"))


def is_public(name: str) -> bool:
    """Whether it is a public module, or a name in one that does not begin with an underscore."""
    module, _, last = name.rpartition(".")
    return name in PUBLIC or (module in PUBLIC and not last.startswith("_") and last not in ("core", "misc"))


def test_private_parts_of_numba_are_imported_in_one_file_only() -> None:
    files = sorted(path for package in ("insects", "search") for path in (PROJECT / package).rglob("*.py"))
    private = {path: {name for name in imported(path) if not is_public(name)} for path in files}
    assert {path: names for path, names in private.items() if names} == {INTERNALS: IMPORTED}


def found(name: str) -> object:
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


@pytest.mark.parametrize("name", sorted(IMPORTED | set(ATTRIBUTES)))
def test_private_part_of_numba_is_still_there(name: str) -> None:
    missing = [attribute for attribute in ATTRIBUTES.get(name, []) if not hasattr(found(name), attribute)]
    assert missing == []


@pytest.mark.parametrize(
    ("name", "public"),
    [
        ("numba", True),
        ("numba.njit", True),
        ("numba.config", True),
        ("numba.extending.intrinsic", True),
        ("llvmlite.ir", True),
        ("numba.core", False),
        ("numba.core.config", False),
        ("numba.misc.appdirs.AppDirs", False),
        ("numba._dispatcher", False),
        ("numba.np.ufunc", False),
    ],
)
def test_names_of_numba_are_public_or_private(name: str, public: bool) -> None:
    assert is_public(name) == public
