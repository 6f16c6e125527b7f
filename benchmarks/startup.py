"""Time before anything happens: the commands, each beside `python -c "import torch, mlflow"` in the same run.

    python -m benchmarks.startup
    python -m benchmarks.startup --pairs 9 --only evaluate --only predict

Each pair runs the import and then the command. Printed is the median of the pairs' ratios, with the lowest and the
highest, and the ratio of the processor times, which other programs on the machine disturb less.
"""

from __future__ import annotations

import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

REFERENCE = [sys.executable, "-c", "import torch, mlflow"]
SEARCH = ("insects-search", "--trials", "6", "--epochs", "3", "--width", "8:32")
TABLE = Path(__file__).parents[1] / "data" / "insects_test.csv"
AIMS = {"evaluate": 1.2, "predict": 1.2, "nothing to do": 0.6, "link of insects-ui": 0.6, "first trial": None}
"""Each measurement, and the ratio that it must not exceed."""


@click.command()
@click.option("--pairs", default=5, show_default=True)
@click.option("--only", multiple=True, type=click.Choice(list(AIMS)), help="Measure this alone; may be repeated.")
def main(pairs: int, only: tuple[str, ...]) -> None:
    """Print each command's time as a multiple of the time to import torch and MLflow."""
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([_script(SEARCH[0]), *SEARCH[1:]], cwd=folder, check=True, capture_output=True)
        for name, aim in AIMS.items():
            if only and name not in only:
                continue
            ratios, processor_ratios, references = [], [], []
            for number in range(pairs):
                reference = measure(REFERENCE, None, folder)
                ours = measure(*_command(name, number), folder)
                ratios.append(ours[0] / reference[0])
                processor_ratios.append(ours[1] / reference[1])
                references.append(reference[0])
            print(
                f"{name:>20}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) times the "
                f"import's {statistics.median(references):.1f} s"
                + ("" if aim is None else f", aim {aim}")
                + f"; processor time {statistics.median(processor_ratios):.2f} times",
                flush=True,
            )


def _command(name: str, number: int) -> tuple[list[str], str | None]:
    """Return a command, and the begin of the line until which it is measured; None: until its end."""
    if name == "evaluate":
        return [_script("insects-evaluate"), "--best"], None
    if name == "predict":
        return [_script("insects-predict"), "--best", str(TABLE), "--out", "labels.csv"], None
    if name == "nothing to do":
        return [_script(SEARCH[0]), *SEARCH[1:]], None
    if name == "link of insects-ui":
        return [_script("insects-ui")], "http://"
    return [_script(SEARCH[0]), *SEARCH[1:], "--study", f"first-{number}"], "trial "


def measure(command: list[str], until: str | None, folder: str) -> tuple[float, float]:
    """Return the seconds that a command takes, and the processor seconds of its processes.

    Args:
        command: The command.
        until: The begin of a line that it prints, after which it is interrupted; None: measure it to its end.
        folder: Where it runs.
    """
    before, started = _processor_seconds(), time.perf_counter()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if until is not None and line.startswith(until):
                break
        else:
            assert until is None, "the command has ended without that line"
        seconds = time.perf_counter() - started
        if until is not None:
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
    assert until is not None or process.returncode == 0, command
    return seconds, _processor_seconds() - before


def _processor_seconds() -> float:
    """Return the processor time of all processes that have ended and were waited for."""
    times = os.times()
    return times.children_user + times.children_system


def _script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


if __name__ == "__main__":
    main()
