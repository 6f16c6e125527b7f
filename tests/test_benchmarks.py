"""What the benchmarks rely on in the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_search_of_the_benchmarks_has_no_uploads_and_predicts() -> None:
    code = "from benchmarks.own_search import warm_up; warm_up()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
