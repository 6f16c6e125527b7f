"""Kill a search at random instants, start it again, and compare with one that was never killed.

    python -m benchmarks.chaos --rounds 30

It runs `tests/scenarios/test_kills.py` with so many rounds. A round is a fresh store: the search is killed one to three
times (SIGKILL, the main process alone or with its workers), started again until it ends, and must then be equal in
Optuna's journal, in the result files and in MLflow.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

TEST = Path(__file__).parents[1] / "tests" / "scenarios" / "test_kills.py"


@click.command()
@click.option("--rounds", default=30, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(rounds: int, seed: int) -> None:
    """Print a line a round; the first difference ends it with exit code 1."""
    environment = {**os.environ, "KILL_ROUNDS": str(rounds), "KILL_SEED": str(seed)}
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-k", "random_instants", str(TEST)]
    raise SystemExit(subprocess.run(command, env=environment, cwd=TEST.parents[2], check=False).returncode)


if __name__ == "__main__":
    main()
