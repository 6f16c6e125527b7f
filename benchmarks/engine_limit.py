"""The limit of one core: its sgemm rate and its rate of Adam updates."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numba import njit

from benchmarks.engine_rivals import EPOCHS, insects
from insects.mlp import layer_sizes, parameter_count
from insects.params import TrialParams
from insects.training import kernel
from insects.training.tiles import TILE_ROWS


@dataclass(frozen=True)
class Limit:
    """The best measured rates of a core.

    Attributes:
        multiply_adds: Multiply-adds per second.
        updates: Updates per second of a weight and its moments.
    """

    multiply_adds: float
    updates: float

    def seconds(self, params: TrialParams) -> float:
        """Seconds of 20 epochs at these rates, as if weights and moments were in the first-level cache."""
        return self.seconds_at(params, self.updates)

    def seconds_in_memory(self, params: TrialParams) -> float:
        """Seconds of 20 epochs at the rate of updates that torch's fused Adam has on as many weights."""
        count = parameter_count(params, insects().shape)
        return self.seconds_at(params, min(self.updates, _fused_adam(count)))

    def seconds_at(self, params: TrialParams, updates_a_second: float) -> float:
        """Seconds of 20 epochs at a rate of updates."""
        # Products: three per layer and training row, two for the first layer, because nothing needs the gradient of
        # the data; one per layer and validation row. Updates: every parameter in every step.
        splits = insects()
        sizes = layer_sizes(params, splits.shape)
        forward = sum(inputs * outputs for inputs, outputs in sizes)
        backward = 2 * forward - sizes[0][0] * sizes[0][1]
        products = (forward + backward) * len(splits.train_y) + forward * len(splits.valid_y)
        steps = -(-len(splits.train_y) // params.batch_size)
        updates = steps * parameter_count(params, splits.shape)
        return EPOCHS * (products / self.multiply_adds + updates / updates_a_second)


def measure() -> Limit:
    """Measure the rates of this core."""
    return Limit(max(_sgemm(size) for size in (128, 256, 512)), max(_fused_adam(1 << 16), _update_tile()))


def processor_name() -> str:
    """The processor's model, and the number of its cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} x {len(names)}" if names else platform.processor() or platform.machine()


def _best(run: Callable[[], Any], repeats: int = 30) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def _sgemm(size: int) -> float:
    a, b, c = torch.rand(size, size), torch.rand(size, size), torch.empty(size, size)
    return size**3 / _best(lambda: torch.mm(a, b, out=c))


def _fused_adam(count: int) -> float:
    weights = torch.rand(count, requires_grad=True)
    weights.grad = torch.rand(count)
    optimizer = torch.optim.Adam([weights], fused=True)
    return count / _best(optimizer.step)


def _update_tile() -> float:
    """Updates per second of the engine's own tile, for a batch of one row, in the first-level cache."""
    columns, update, times = kernel.PANEL * kernel.WIDTH, kernel._update, 1000

    @njit
    def run(w: Any, m: Any, v: Any, x: Any, dz: Any) -> None:
        for _ in range(times):
            for start in range(0, len(w), TILE_ROWS * columns):
                update(
                    TILE_ROWS, kernel.PANEL, w, start, m, start, v, start, columns, x, 0, TILE_ROWS,
                    dz, 0, columns, 1, np.float32(1e-6), np.float32(1e-8),
                )  # fmt: skip

    generator = np.random.default_rng(0)
    count = 1024 // (TILE_ROWS * columns) * TILE_ROWS * columns
    # Not a multiple of 4096 bytes apart, see insects.training.packing.
    w, m, v = generator.random((3, 1024 + 208), np.float32)[:, :count]
    x, dz = generator.random(TILE_ROWS, np.float32), generator.random(columns, np.float32)
    run(w, m, v, x, dz)
    return times * count / _best(lambda: run(w, m, v, x, dz))
