"""Available memory, and the memory of training compared with what it really takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from insects import memory
from insects.mlp import Shape
from insects.params import TrialParams
from insects.training import ENGINES, Engine

PEAK = """
import sys, threading, time
from pathlib import Path
import numpy as np
from insects import memory
from insects.encoder import standard_encoder
from insects.params import Recipe, TrialParams
from insects.splits import Splits
from insects.trial import TrialTask, run_trial

def rows(features):
    x, y = np.full((32, features), 0.5, np.float32), np.arange(32, dtype=np.int32) % 2
    names = ("x",) * features
    return Splits(names, ("a", "b"), x, y, x[:8], y[:8], standard_encoder(names, x[:8]), "")

def train(splits, width):
    params = TrialParams(1, width, 1e-4, 16)
    result = run_trial(TrialTask(0, params, Recipe(2), 0, np.full(2, np.inf), sys.argv[1], "cpu"), splits)
    assert result.best_epoch, result.reason
    return memory.training_bytes(params, splits.shape, 32, sys.argv[1])

def resident():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return 1024 * int(line.split()[1])

def watch():
    global peak
    while True:
        peak = max(peak, resident())
        time.sleep(0.002)

train(rows(1), 1)  # libraries and compiled code do not count
splits = rows(150_000)
before = peak = resident()
threading.Thread(target=watch, daemon=True).start()
stated = train(splits, 64)
print((peak - before) / stated)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
@pytest.mark.parametrize("engine", ENGINES)
def test_training_takes_the_stated_memory(engine: Engine) -> None:
    done = subprocess.run([sys.executable, "-c", PEAK, engine], capture_output=True, text=True, check=True)
    assert 0.6 < float(done.stdout) < 1.05


def test_stated_memory_is_copies_of_the_weights_and_a_batch() -> None:
    params, shape = TrialParams(depth=1, width=10, lr=0.1, batch_size=64), Shape(features=1000, classes=2)
    weights = 1001 * 10 + 11 * 2
    assert memory.training_bytes(params, shape, 500, "compiled") == 4 * (7 * weights + 64 * 1000)
    assert memory.training_bytes(params, shape, 30, "compiled") == 4 * (7 * weights + 30 * 1000)
    assert memory.training_bytes(params, shape, 500, "torch") == 4 * (10 * weights + 500 * 1000)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="/proc is Linux's")
def test_container_has_the_rest_of_its_limit_and_its_reclaimable_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    machine = memory.available()  # no files, so no limit
    assert machine is not None
    assert machine > 10**7
    for name, content in {"memory.max": "1000000\n", "memory.current": "400000\n"}.items():
        (tmp_path / name).write_text(content)
    assert memory.available() == 600_000
    (tmp_path / "memory.stat").write_text("anon 7\ninactive_file 50000\nactive_file 9\n")
    assert memory.available() == 650_000
    (tmp_path / "memory.current").write_text("2000000\n")
    assert memory.available() == 0
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available() == pytest.approx(machine, rel=0.5)
