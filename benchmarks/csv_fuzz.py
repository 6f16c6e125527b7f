"""Feed generated CSV files to the reader and count how many are refused and how many are trained on.

    python -m benchmarks.csv_fuzz --examples 2000

This runs tests/insects/tables/test_table_properties.py with more files. Another outcome is a bug; pytest shows it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
TEST = "tests/insects/tables/test_table_properties.py"


def messages(examples: int, seed: int) -> list[str]:
    """The message of each refused file, and an empty one for each accepted file."""
    with TemporaryDirectory() as folder:
        outcomes = Path(folder, "outcomes")
        settings = {"CSV_EXAMPLES": str(examples), "CSV_SEED": str(seed), "CSV_OUTCOMES": str(outcomes)}
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--no-summary", "-x", TEST]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **settings}, check=False)
        if done.returncode:
            sys.exit(done.returncode)
        return outcomes.read_text(encoding="utf-8").split("\n")[:-1]


def rule(message: str) -> str:
    """The broken rule: the message without place, value and advice."""
    text = re.sub(r"^.*?t\.csv(, line \d+)?(, column ('.*?'|\".*?\"))?:? ", "", message)
    return re.sub(r"\d+", "…", re.split(r"; |, found |['\"]", text)[0]).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = messages(arguments.examples, arguments.seed)
    refused = Counter(rule(message) for message in found if message)
    accepted = len(found) - refused.total()
    print(f"{len(found)} files: {refused.total()} refused, {accepted} accepted and trained, no traceback")
    for reason, count in refused.most_common():
        print(f"{count:6} {reason}")


if __name__ == "__main__":
    main()
