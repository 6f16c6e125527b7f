"""Time of the whole `insects-search` command, against a usual script of Optuna, DataLoader and MLflow.

    python -m benchmarks.pipeline                           50 trials of both
    python -m benchmarks.pipeline --trials 500              the script runs 50 trials, and its time is scaled
    python -m benchmarks.pipeline --growth 100,1000,3000    the time per trial as a study grows

Both train the same configurations, in new processes with empty stores.
"""

from __future__ import annotations

import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

RIVAL_TRIALS = 50
BATCH_SIZES = (4, 8, 16, 32, 64, 128)


def configurations(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Configurations drawn uniformly from the default search space."""
    generator = np.random.default_rng(seed)
    return [
        {
            "depth": int(generator.integers(1, 5)),
            "width": int(generator.integers(16, 257)),
            "lr": float(10 ** generator.uniform(-4, -1)),
            "batch_size": int(generator.choice(BATCH_SIZES)),
        }
        for _ in range(count)
    ]


@click.command()
@click.option("--trials", default=50, show_default=True)
@click.option("--epochs", default=20, show_default=True)
@click.option("--rival/--no-rival", default=True, help="Measure the usual script as well.")
@click.option("--growth", help="Instead: trial counts of sampled studies, for the cost of a trial as a study grows.")
def main(trials: int, epochs: int, rival: bool, growth: str | None) -> None:
    """Compare insects-search with the usual script: seconds by part, and the ratio."""
    print(f"{_processor()}, Python {platform.python_version()}")
    if growth:
        measure_growth([int(count) for count in growth.split(",")], epochs)
        return
    measure_command(1, 1)  # compiles the engine, and brings files into the system's cache for both
    ours = measure_command(trials, epochs)
    print_parts(f"insects-search, {trials} trials", ours)
    if rival:
        theirs = measure_rival(min(trials, RIVAL_TRIALS), epochs)
        print_parts(f"the usual script, {min(trials, RIVAL_TRIALS)} trials", theirs)
        scaled = scale(theirs, trials / min(trials, RIVAL_TRIALS))
        if trials > RIVAL_TRIALS:
            print(f"the usual script, scaled to {trials} trials: {scaled:.1f} s")
        print(f"ratio: {scaled / ours['process']:.1f}")


def measure_command(trials: int, epochs: int) -> dict[str, float]:
    """Seconds of `insects-search --configs` by part, and of the whole process as `process`."""
    with tempfile.TemporaryDirectory() as folder:
        configs = Path(folder, "configs.json")
        configs.write_text(json.dumps(configurations(trials)))
        command = [_script("insects-search"), "--configs", str(configs), "--trials", str(trials)]
        return _run([*command, "--epochs", str(epochs), "--json"], folder, lambda answer: answer["seconds"])


def measure_rival(trials: int, epochs: int) -> dict[str, float]:
    """Seconds of the usual script by part, and of the whole process as `process`."""
    with tempfile.TemporaryDirectory() as folder:
        configs = Path(folder, "configs.json")
        configs.write_text(json.dumps(configurations(trials)))
        command = [sys.executable, "-P", str(Path(__file__).with_name("usual_pipeline.py")), str(configs), str(epochs)]
        return _run(command, folder, lambda answer: answer)


def scale(seconds: dict[str, float], factor: float) -> float:
    """The usual script's seconds at `factor` times the trials."""
    # Imports and logging the model happen once, whatever the number of trials.
    once = seconds["imports"] + seconds["log_model"]
    return once + (seconds["process"] - once) * factor


def measure_growth(counts: list[int], epochs: int) -> None:
    """Print milliseconds per trial, with sampling, figures and tracking, for the last trials of a growing study.

    Args:
        counts: Numbers of trials; one study is topped up from one to the next.
        epochs: Epochs of a trial.
    """
    with tempfile.TemporaryDirectory() as folder:
        first = 0.0
        for count in counts:
            before = max(count - 100, 1)
            command = [_script("insects-search"), "--study", "growth", "--epochs", str(epochs), "--json", "--trials"]
            _run([*command, str(before)], folder, lambda answer: answer["seconds"])
            started = _run([*command, str(before)], folder, lambda answer: answer["seconds"])
            ended = _run([*command, str(count)], folder, lambda answer: answer["seconds"])
            each = (ended["process"] - started["process"]) / (count - before)
            first = first or each
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            last = count - before
            sampling = 1000 * ended["sampling"] / last
            print(f"{count} trials: {1000 * each:.0f} ms for each of the last {last} (sampling {sampling:.0f} ms),")
            print(f"  {each / first:.2f} of the first figure; a start with nothing to do {started['process']:.1f} s,")
            print(f"  largest process so far {memory:.0f} MB")


def print_parts(title: str, seconds: dict[str, float]) -> None:
    """Print the seconds of each part in one line."""
    parts = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items() if name not in ("process", "total"))
    print(f"{title}: {seconds['process']:.1f} s ({parts})")


def _run(command: list[str], folder: str, seconds: Any) -> dict[str, float]:
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    elapsed = time.perf_counter() - started
    return {**seconds(json.loads(done.stdout)), "process": elapsed}


def _script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _processor() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    ]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
