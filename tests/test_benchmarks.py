"""What the benchmarks rely on in the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(code: str) -> str:
    """Run code that imports benchmarks, which tests do not, and return what it prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_search_of_the_benchmarks_has_no_uploads_and_predicts() -> None:
    code = "from benchmarks.own_search import warm_up; warm_up()"
    assert run(code) == ""


MODEL = """
from benchmarks.cluster_model import Cluster, Costs, predict
FREE = Costs(sampling=0.0, storing=0.0, tracking=0.0, sending=0.0)
found = predict({arguments})
print(found.trained, found.delivered, found.busy, found.coordinator)
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # 40 trials that depend on no other: four rounds of ten.
        ("[2.0] * 40, Cluster(10), 4, 40, FREE", (8.0, 8.0, 1.0, 0.0)),
        # The window of four leaves six of the ten idle.
        ("[2.0] * 40, Cluster(10), 4, 0, FREE", (20.0, 20.0, 0.4, 0.0)),
        # Results are told in order: the first, which takes long, holds back the last two.
        ("[9.0, 1.0, 1.0, 1.0], Cluster(4), 2, 0, FREE", (10.0, 10.0, 0.3, 0.0)),
        # One worker trains 3 s and waits 1 s for the next trial; the last run is written 5 s after it was stored.
        ("[3.0] * 5, Cluster(1), 1, 5, Costs(0.0, 0.0, 5.0, 1.0)", (20.0, 29.0, 0.75, 0.0)),
        # The coordinator needs 0.5 s a trial: 0.1 to ask, 0.1 to tell, 0.2 to receive, 0.1 to store.
        ("[0.0] * 100, Cluster(10), 1, 0, Costs(0.2, 0.1, 0.0, 0.0, 0.2)", (50.0, 50.0, 0.0, 1.0)),
    ],
)
def test_model_of_a_cluster_gives_known_times(arguments: str, expected: tuple[float, ...]) -> None:
    found = [float(value) for value in run(MODEL.format(arguments=arguments)).split()]
    assert found == pytest.approx(expected)


def test_model_of_a_cluster_trains_again_what_a_lost_worker_held() -> None:
    lossy = run(MODEL.format(arguments="[1.0] * 1000, Cluster(10, failures=0.2, away=0.0), 4, 1000, FREE"))
    trained, _, busy, _ = map(float, lossy.split())
    # 0.25 losses a trial, each of half a trial in the mean.
    assert trained == pytest.approx(112.5, rel=0.03)
    assert busy == pytest.approx(1 / 1.125, rel=0.03)
