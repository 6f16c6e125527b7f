"""Proposals of the Gaussian process do not depend on the number of torch's threads."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from insects.training.threads import one_thread

pytestmark = pytest.mark.slow

# Small matrices are computed alike with any number of threads: with 60 trials the sums begin to differ.
PROPOSALS = """
import math
import numpy as np
from search.study.sampler import Proposer
from search.study.space import SearchSpace
from tests.support.studies import a_result
space = SearchSpace()
proposer, asked = Proposer(space, "gp", 0), []
for number in range(62):
    if number >= 16:
        params = asked[number - 16]
        proposer.tell(a_result(number - 16, params, [abs(math.log10(params.lr) + 2.5) + abs(params.width - 100) / 300]))
    point = np.random.default_rng(number).random(4)
    if number == 61:
        leave()
    asked.append(proposer.assume(number, space.from_unit_cube(*point)) if number < 59 else proposer.ask(number))
print(asked[59:])
"""

# As trials of the torch engine do, one thread is set from before the first proposal until the last but one.
TRAINING_BESIDE = """
from threading import Event, Thread
from insects.training.threads import one_thread
begun, done = Event(), Event()
def train():
    with one_thread():
        begun.set()
        done.wait()
worker = Thread(target=train)
worker.start()
begun.wait()
def leave():
    done.set()
    worker.join()
"""


def printed(script: str, threads: int) -> str:
    """The output of a process of its own: torch reads the number of its threads once."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


ALONE = "leave = lambda: None"


@pytest.fixture(scope="module")
def proposed() -> str:
    """Proposals of a process with two threads that has trained nothing before, as a resumed search."""
    return printed(ALONE + PROPOSALS, threads=2)


def test_gp_proposes_the_same_with_another_number_of_processors(proposed: str) -> None:
    assert printed(ALONE + PROPOSALS, threads=1) == proposed


def test_gp_proposes_the_same_while_torch_trains(
    proposed: str,
) -> None:
    # Training leaves one thread to a main thread that uses torch later; a resumed study asks before it trains.
    assert printed(TRAINING_BESIDE + PROPOSALS, threads=2) == proposed


def test_one_thread_holds_until_the_last_one_is_out() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(1) as other:
            with one_thread():
                other.submit(_in_and_out).result()
                assert torch.get_num_threads() == 1
                assert "mkl_get_max_threads() : 2" not in torch.__config__.parallel_info()
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def _in_and_out() -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
