"""Settings of numba's that stop the compiled engine are one line; the other engine does not mind them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.commands import SMALL, command

CONFIG = ".numba_config.yaml"
OFF = "the compiled engine needs numba's compiler, which {} turns off: unset it, or use --engine torch"
BROKEN = "the compiled engine needs numba, which cannot be loaded: {}; correct {}, or use --engine torch"
HERE = f"{CONFIG} in the working directory"

STOPPING = {
    "turned off": ({"NUMBA_DISABLE_JIT": "1"}, None, OFF.format("NUMBA_DISABLE_JIT")),
    "turned off in the file": ({}, "disable_jit: true", OFF.format(f"disable_jit in {HERE}")),
    "no threads": (
        {"NUMBA_NUM_THREADS": "0"},
        None,
        BROKEN.format("Number of threads specified must be > 0.", "NUMBA_NUM_THREADS"),
    ),
    "no mapping in the file": ({}, "- a", BROKEN.format("'list' object has no attribute 'items'", HERE)),
    "no yaml in the file": ({}, "[: x", None),
}


def search(folder: Path, *options: str) -> tuple[str, ...]:
    return ("insects-search", *SMALL, "--trials", "1", "--store", str(folder / "store"), "--json", *options)


@pytest.mark.parametrize("kind", STOPPING)
def test_setting_that_stops_numba_is_one_line(kind: str, tmp_path: Path) -> None:
    environment, content, message = STOPPING[kind]
    if content is not None:
        (tmp_path / CONFIG).write_text(content)
    done = command(*search(tmp_path), cwd=tmp_path, **environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: the compiled engine needs numba")
    assert done.stderr.count("\n") == 1
    if message is not None:
        assert done.stderr == f"Error: {message}\n"


def test_torch_engine_needs_no_numba(tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("- a")
    done = command(*search(tmp_path, "--engine", "torch"), cwd=tmp_path, NUMBA_DISABLE_JIT="1")
    assert json.loads(done.stdout)["trials"][0]["state"] == "complete"


@pytest.mark.parametrize("off", ["0", "no"])  # numba reads both as 0
def test_setting_that_numba_does_not_take_for_off_stops_nothing(off: str, tmp_path: Path) -> None:
    done = command(*search(tmp_path), cwd=tmp_path, NUMBA_DISABLE_JIT=off)
    assert json.loads(done.stdout)["engine"] == "compiled"
