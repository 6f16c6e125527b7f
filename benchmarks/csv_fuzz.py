"""Feed generated CSV files to the reader and count how many are refused and how many are trained on.

    python -m benchmarks.csv_fuzz --examples 2000

Any other outcome is a bug and ends in its traceback. The files are those of tests/insects/csv_strategies.py.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.insects.csv_strategies import csv_files, refusal


def count_outcomes(examples: int, random_seed: int) -> Counter[str]:
    """Outcomes of `examples` files: `accepted`, or the rule that refused one."""
    outcomes: Counter[str] = Counter()

    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"

        @seed(random_seed)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(content=csv_files())
        def feed(content: bytes) -> None:
            path.write_bytes(content)
            message = refusal(path)
            assert message is None or message.isprintable(), message
            outcomes["accepted" if message is None else rule(message)] += 1

        feed()
    return outcomes


def rule(message: str) -> str:
    """The message without what is particular to the file: place, values and advice."""
    text = re.sub(r"^.*?t\.csv(, line \d+)?(, column ('.*?'|\".*?\"))?:? ", "", message)
    return re.sub(r"\d+", "…", re.split(r"; |, found |['\"]", text)[0]).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    outcomes = count_outcomes(arguments.examples, arguments.seed)
    accepted = outcomes.pop("accepted", 0)
    refused = outcomes.total()
    print(f"{accepted + refused} files: {refused} refused, {accepted} accepted and trained, no traceback")
    for reason, count in outcomes.most_common():
        print(f"{count:6} {reason}")


if __name__ == "__main__":
    main()
