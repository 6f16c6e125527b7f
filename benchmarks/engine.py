"""Speed of the compiled engine, against other training loops and against the limit of the processor.

    python -m benchmarks.engine [--quick | --wide]

Unless a line says otherwise, times are CPU times of one thread, which other programs on the machine disturb less than
wall times. They are for 20 epochs on the 960 training rows of the built-in data: the median of runs that alternate with
those of the rivals. A slow rival runs fewer epochs, and its time is scaled. Only the compiled engine validates after
each epoch.

The limit is the time of all multiply-adds at this core's measured sgemm rate plus that of Adam's updates at the best
measured rate. `--wide` measures networks whose weights do not fit into a core's cache.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

import numpy as np
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks import engine_growth, engine_limit
from benchmarks.engine_limit import Limit
from benchmarks.engine_rivals import EPOCHS, Trainer, lean_torch, ours, scikit_learn, usual_loop
from insects.params import TrialParams

SHAPES = [
    TrialParams(depth, width, 1e-3, batch)
    for depth, width, batch in ((2, 64, 4), (4, 128, 4), (4, 128, 32), (3, 247, 128), (1, 16, 128), (4, 256, 128))
]
CORNERS = [TrialParams(*corner) for corner in product((1, 4), (16, 256), (1e-4, 1e-1), (4, 128))]
BATCH_SIZES = (4, 8, 16, 32, 64, 128)


def mixed(count: int = 50) -> list[TrialParams]:
    """Configurations drawn from the default search space with a fixed seed."""
    generator = np.random.default_rng(2024)
    return [
        TrialParams(
            depth=int(generator.integers(1, 5)),
            width=round(16 * 16 ** generator.uniform()),
            lr=float(10 ** generator.uniform(-4, -1)),
            batch_size=int(generator.choice(BATCH_SIZES)),
        )
        for _ in range(count)
    ]


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer runs, and rivals for about a tenth of the time")
    parser.add_argument("--wide", action="store_true", help="only networks of up to 8 layers of up to 1024 units")
    args = parser.parse_args()
    quick = args.quick
    repeats, patience = (3, 0.1) if quick else (7, 1.0)
    threads = torch.get_num_threads()
    ours(SHAPES[0], 1)  # compiles or loads the kernel
    torch.set_num_threads(1)
    with threadpool_limits(1):
        limit = engine_limit.measure()
        print(f"{engine_limit.processor_name()}, torch {torch.__version__}, {EPOCHS} epochs")
        print(f"limit: {limit.multiply_adds / 1e9:.1f} G multiply-adds/s, {limit.updates / 1e9:.2f} G updates/s\n")
        if args.wide:
            print_wide(limit)
            return
        print_shapes(limit, repeats, patience)
        print_corners(repeats, patience)
        print_mixed(limit, threads, epochs=1, rounds=1 if quick else 3)
        print_growth(quick)


def print_shapes(limit: Limit, repeats: int, patience: float) -> None:
    """Print the table of typical shapes, and whether the first reaches its aims."""
    print(f"{'shape':>16} {'ms':>8} {'x loop':>8} {'x lean':>8} {'x sklearn':>9} {'/ limit':>8}")
    for params in SHAPES:
        mine, *rivals = in_turn([ours, usual_loop, lean_torch, scikit_learn], params, repeats, patience)
        ratios = " ".join(f"{seconds / mine:8.1f}" for seconds in rivals)
        print(f"{name(params):>16} {mine * 1e3:8.1f} {ratios}  {mine / limit.seconds(params):8.2f}", flush=True)
        if params == SHAPES[0]:
            loop, _, sklearn = (seconds / mine for seconds in rivals)
    print(verdict("2x64 batch 4 against the loop", loop, 30, "aim 50"))
    print(verdict("2x64 batch 4 against scikit-learn", sklearn, 12), end="\n\n")


def print_wide(limit: Limit) -> None:
    """Print the table of wide networks, where Adam's updates go through memory."""
    print(f"{'shape':>18} {'ms an epoch':>12} {'x lean':>8} {'of the limit':>13} {'with Adam in memory':>20}")
    for depth, width in ((4, 256), (8, 256), (8, 512), (8, 1024)):
        for batch in (4, 16, 128):
            params = TrialParams(depth, width, 1e-3, batch)
            mine, lean = (min(cpu(partial(trainer, params, 1)) for _ in range(3)) for trainer in (ours, lean_torch))
            bounds = [bound(params) / EPOCHS / mine for bound in (limit.seconds, limit.seconds_in_memory)]
            print(
                f"{name(params):>18} {mine * 1e3:12.1f} {lean / mine:8.2f} {bounds[0]:13.2f} {bounds[1]:20.2f}",
                flush=True,
            )


def print_corners(repeats: int, patience: float) -> None:
    """Print the table of the default space's corners, where no rival may be faster."""
    print(f"{'corner':>24} {'ms':>8} {'x lean':>8} {'x sklearn':>9}")
    lowest = math.inf
    for params in CORNERS:
        mine, *rivals = in_turn([ours, lean_torch, scikit_learn], params, max(3, repeats // 2), patience / 2)
        ratios = [seconds / mine for seconds in rivals]
        lowest = min(lowest, *ratios)
        corner = f"{name(params)} lr {params.lr:g}"
        print(f"{corner:>24} {mine * 1e3:8.1f} {ratios[0]:8.1f} {ratios[1]:8.1f}", flush=True)
    print(verdict("the slowest corner against the faster of the two", lowest, 1), end="\n\n")


def print_mixed(limit: Limit, threads: int, epochs: int, rounds: int) -> None:
    """Print times of 50 configurations: two workers against torch's threads, and one worker against the limit."""
    configurations = mixed()

    def train(trainer: Trainer, epochs: int) -> None:
        for params in configurations:
            trainer(params, epochs)

    def two_workers() -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ours, configurations, [EPOCHS] * len(configurations)))

    def loop(threads: int) -> None:
        torch.set_num_threads(threads)
        train(usual_loop, epochs)
        torch.set_num_threads(1)

    one = cpu(partial(train, ours, EPOCHS))
    times = [[wall(run) for run in (two_workers, partial(loop, threads), partial(loop, 1))] for _ in range(rounds)]
    two, *loops = (min(column) for column in zip(*times, strict=True))
    loops = [seconds * EPOCHS / epochs for seconds in loops]
    bound = sum(limit.seconds(params) for params in configurations)
    print(f"50 mixed configurations: one worker {one:.2f} s, limit {bound:.2f} s; two workers {two:.2f} s wall;")
    print(
        f"    the loop with {threads} threads {loops[0]:.1f} s wall, with one {loops[1]:.1f} s (from {epochs} epochs)"
    )
    print(verdict("50 mixed, two workers, against the faster loop", min(loops) / two, 25, "aim 60"))
    print(verdict("50 mixed, the limit's share of one worker's time", bound / one, 1 / 3, "aim 0.50"), end="\n\n")


def print_growth(quick: bool) -> None:
    """Print seconds per row and memory as tables and studies grow."""
    counts = [1_000, 10_000, 100_000] if quick else [1_000, 10_000, 100_000, 1_000_000]
    for params in (TrialParams(2, 64, 1e-3, 4), TrialParams(2, 64, 1e-3, 32)):
        times = engine_growth.seconds_a_row(params, counts, repeats=3)
        line = ", ".join(f"{rows:,} rows {seconds * 1e9:.0f} ns" for rows, seconds in zip(counts, times, strict=True))
        print(f"{name(params)}, {engine_growth.FEATURES} features, a row: {line}")
        print(verdict("10,000 rows a row against the largest table", times[1] / times[-1], 0.9))
    data, added = engine_growth.memory_of_a_big_table(counts[-1])
    print(f"memory: a table of {data:.0f} MB adds {added:.0f} MB to the idle process")
    print(verdict("room left of twice the table and 200 MB", (2 * data + 200) / max(added, 1), 1))
    print(f"memory: the last 900 of 1,000 trials add {engine_growth.memory_over_trials(1000):.1f} MB")


def in_turn(trainers: list[Trainer], params: TrialParams, repeats: int, patience: float) -> list[float]:
    """CPU seconds of 20 epochs by each trainer, the median of runs that alternate.

    Args:
        trainers: The first runs all epochs; the others run as many as fit into `patience`, scaled to 20.
        params: What to train.
        repeats: Runs of each.
        patience: Seconds of a rival's run.
    """
    epochs = [EPOCHS]
    for trainer in trainers[1:]:
        trainer(params, 1)
        an_epoch = cpu(partial(trainer, params, 1))
        epochs.append(max(1, min(EPOCHS, round(patience / an_epoch))))
    runs = [
        [cpu(partial(trainer, params, count)) * EPOCHS / count for trainer, count in zip(trainers, epochs, strict=True)]
        for _ in range(repeats)
    ]
    return [statistics.median(times) for times in zip(*runs, strict=True)]


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds that `run` takes."""
    start = time.process_time()
    run()
    return time.process_time() - start


def wall(run: Callable[[], object]) -> float:
    """Wall seconds that `run` takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def name(params: TrialParams) -> str:
    """A short name of a shape."""
    return f"{params.depth}x{params.width} batch {params.batch_size}"


def verdict(claim: str, ratio: float, at_least: float, aim: str = "") -> str:
    """A line that says whether a ratio is at least what is required."""
    note = f", {aim}" if aim else ""
    return f"{'pass' if ratio >= at_least else 'MISS'}: {claim}: {ratio:.2f} (at least {at_least:.2f}{note})"


if __name__ == "__main__":
    main()
