"""How much memory there is, and that training takes no more than is said of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from insects import memory
from insects.errors import DataError
from insects.images.annotations import read_annotations
from insects.images.features import FeatureRecipe, load_images
from insects.mlp import Shape
from insects.params import TrialParams
from insects.training import ENGINES, Engine
from tests.insects.image_cases import load, make_set

PEAK = """
import sys, threading, time
from pathlib import Path
import numpy as np
from insects import memory
from insects.params import Recipe, TrialParams
from insects.splits import Splits
from insects.trial import TrialTask, run_trial

def rows(features):
    x, y = np.full((32, features), 0.5, np.float32), np.arange(32, dtype=np.int32) % 2
    return Splits(("x",) * features, ("a", "b"), x, y, x[:8], y[:8], x[0], x[0], "")

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

train(rows(1), 1)  # what is loaded and compiled counts for none
splits = rows(300_000)
before = peak = resident()
threading.Thread(target=watch, daemon=True).start()
said = train(splits, 64)
print((peak - before) / said)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
@pytest.mark.parametrize("engine", ENGINES)
def test_training_takes_the_memory_that_is_said_of_it(engine: Engine) -> None:
    done = subprocess.run([sys.executable, "-c", PEAK, engine], capture_output=True, text=True, check=True)
    assert 0.6 < float(done.stdout) < 1.05


def test_training_memory_is_some_copies_of_the_weights_and_a_batch() -> None:
    params, shape = TrialParams(depth=1, width=10, lr=0.1, batch_size=64), Shape(features=1000, classes=2)
    weights = 1001 * 10 + 11 * 2
    assert memory.training_bytes(params, shape, 500, "compiled") == 4 * (7 * weights + 64 * 1000)
    assert memory.training_bytes(params, shape, 30, "compiled") == 4 * (7 * weights + 30 * 1000)
    assert memory.training_bytes(params, shape, 500, "torch") == 4 * (10 * weights + 500 * 1000)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux tells it")
def test_container_has_what_its_limit_leaves_and_what_it_can_give_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    machine = memory.available()  # there are no such files: no limit
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


def test_images_that_do_not_fit_are_refused_before_one_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = make_set(tmp_path)
    needed = 10 * 4 * 3 * 8**2  # bytes a number, images, numbers of an image
    monkeypatch.setattr(memory, "available", lambda: needed)
    assert len(load(files, tmp_path).table.y) == 4
    monkeypatch.setattr(memory, "available", lambda: 100_000_000)
    monkeypatch.setattr("insects.images.features.read_files", None)
    with pytest.raises(DataError) as raised:
        load_images(read_annotations(*files), FeatureRecipe(1024), tmp_path / "cache")
    assert str(raised.value) == (
        "4 images of 1024 by 1024 pixels must fit into memory: they take about 0.1 GB, 0.1 GB are free; "
        "lower --image-size"
    )
