"""The kernel's compile cache, on a kernel small enough to compile in a moment."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config

from insects.training import cache

PROJECT = Path(__file__).parents[3]
KERNEL = """
from pathlib import Path
from numba import njit
from insects.training.cache import cached
import called_file

@njit
def double(x):
    return called_file.times(x)

cached(double, [Path(__file__), Path(called_file.__file__)])
outcome = double(21), sum(double.stats.cache_hits.values()), sum(double.stats.cache_misses.values())
print(*outcome)
"""
CALLED = """
from numba import njit

@njit
def times(x):
    return 2 * x
"""
COMPILED, LOADED = (42, 0, 1), (42, 1, 0)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a kernel, a file it calls, and a folder `cache` for numba's caches."""
    (tmp_path / "kernel_file.py").write_text(KERNEL)
    (tmp_path / "called_file.py").write_text(CALLED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def run() -> tuple[int, int, int]:
    """`double(21)`, cache hits and cache misses in a fresh copy of the kernel."""
    for name in ("kernel_file", "called_file"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    outcome: tuple[int, int, int] = importlib.import_module("kernel_file").outcome
    return outcome


@pytest.mark.usefixtures("place")
def test_second_run_loads_what_the_first_compiled() -> None:
    assert run() == COMPILED
    assert run() == LOADED


def test_edit_of_a_called_file_compiles_anew(place: Path) -> None:
    assert run() == COMPILED
    (place / "called_file.py").write_text(CALLED.replace("2 * x", "3 * x"))
    assert run() == (63, 0, 1)
    (place / "called_file.py").write_text(CALLED)
    assert run() == LOADED


@pytest.mark.slow
def test_concurrent_compilations_succeed_and_leave_a_valid_entry(place: Path) -> None:
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(place / "cache"),
        "PYTHONPATH": str(PROJECT),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-W", "error", str(place / "kernel_file.py")]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.communicate(timeout=120)[0].startswith("42 ")
        assert process.returncode == 0
    # As a script the kernel's module has another name, which is no part of an entry.
    assert run()[0] == 42


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["torn", "altered", "emptied"])
def test_a_damaged_entry_is_compiled_anew_and_replaced(place: Path, suffix: str, damage: str) -> None:
    assert run() == COMPILED
    (entry,) = (place / "cache").rglob(f"*{suffix}")
    data = bytearray(entry.read_bytes())
    data[len(data) // 2] ^= 0xFF  # of the larger file: the machine code, the pickle around it can still be read
    entry.write_bytes({"torn": bytes(data[: len(data) // 3]), "altered": bytes(data), "emptied": b""}[damage])
    assert run() == COMPILED
    assert run() == LOADED


def test_entry_altered_anywhere_is_compiled_anew(place: Path) -> None:
    """Altered machine code would run, unlike an altered pickle around it, which cannot be read."""
    assert run() == COMPILED
    (entry,) = (place / "cache").rglob("*.nbc")
    whole = entry.read_bytes()
    for part in range(1, 10):
        data = bytearray(whole)
        data[part * len(data) // 10] ^= 0x01
        entry.write_bytes(data)
        assert run() == COMPILED
        (entry,) = (place / "cache").rglob("*.nbc")


def test_without_a_folder_to_write_the_kernel_is_compiled_in_memory(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").write_text("")
    # No folder can be made inside a file, not even by root.
    monkeypatch.setattr(cache, "_folders", lambda package: [package / "file" / "a", package / "file" / "b"])
    assert run() == COMPILED
    assert run() == COMPILED


def test_a_package_that_cannot_be_written_is_cached_in_the_users_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "__pycache__").write_text("")
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr("numba.misc.appdirs.AppDirs.user_cache_dir", str(place / "user"))
    assert run() == COMPILED
    assert run() == LOADED
    assert len(list((place / "user").rglob("kernel_file.double-*.nbc"))) == 1


@pytest.mark.usefixtures("place")
def test_full_disk_does_not_stop_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("numba.core.caching.FunctionCache.save_overload", full)
    assert run() == COMPILED
