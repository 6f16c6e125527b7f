"""How the compiled engine scales with rows and trials: seconds per row, and memory."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from insects.encoder import standard_encoder
from insects.params import Recipe, TrialParams
from insects.splits import Splits
from insects.training import advance, init

FEATURES, CLASSES = 20, 5
MEGABYTE = 1e6


def table(rows: int) -> Splits:
    """Random training rows; up to 1000 of them validate."""
    generator = np.random.default_rng(0)
    y = generator.integers(CLASSES, size=rows, dtype=np.int32)
    x = generator.standard_normal((rows, FEATURES), np.float32)
    names, few = tuple(f"x{j}" for j in range(FEATURES)), min(rows, 1000)
    return Splits(names, tuple("01234"), x, y, x[:few], y[:few], standard_encoder(names, x[:few]), "")


def seconds_a_row(params: TrialParams, counts: list[int], repeats: int) -> list[float]:
    """CPU seconds per row of training on tables of different size, the best of several runs.

    Args:
        params: What to train.
        counts: Rows of each table. The runs alternate, and each trains the same number of rows in total.
        repeats: Runs for each table.
    """
    tables = [table(rows) for rows in counts]
    best = [np.inf] * len(counts)
    for _ in range(repeats):
        for index, (rows, splits) in enumerate(zip(counts, tables, strict=True)):
            epochs = max(counts) // rows
            state = init(params, Recipe(epochs), splits.shape, seed=0, trial=0)
            start = time.process_time()
            advance(state, splits, epochs)
            best[index] = min(best[index], (time.process_time() - start) / (epochs * rows))
    return best


def memory_of_a_big_table(rows: int) -> tuple[float, float]:
    """Megabytes of a table, and megabytes that the table and training on it add to an idle process."""
    script = f"from benchmarks import engine_growth as g; g.print_memory_of_a_big_table({rows})"
    added = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return rows * (FEATURES + 1) * 4 / MEGABYTE, float(added)


def memory_over_trials(trials: int) -> float:
    """Megabytes that the last nine tenths of `trials` trials add to the process."""
    script = f"from benchmarks import engine_growth as g; g.print_memory_over_trials({trials})"
    return float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)


def print_memory_of_a_big_table(rows: int) -> None:
    _train(table(1000), trial=0)
    idle = _resident("VmRSS")
    _train(table(rows), trial=0)
    print(_resident("VmHWM") - idle)


def print_memory_over_trials(trials: int) -> None:
    splits = table(500)
    for trial in range(trials):
        _train(splits, trial)
        if trial == trials // 10:
            before = _resident("VmRSS")
    print(_resident("VmRSS") - before)


def _train(splits: Splits, trial: int) -> None:
    generator = np.random.default_rng(trial)
    params = TrialParams(int(generator.integers(1, 5)), int(generator.integers(16, 257)), 1e-3, 32)
    advance(init(params, Recipe(1), splits.shape, seed=0, trial=trial), splits, 1)


def _resident(field: str) -> float:
    """Megabytes of this process now (VmRSS) or at most so far (VmHWM); Linux only."""
    # getrusage would not do: its maximum begins with what the parent process had when it started this one.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / MEGABYTE
    raise LookupError(f"/proc/self/status has no {field}")
