"""How many runs a second several processes write to MLflow at once.

    python -m benchmarks.tracking_writers [--processes 1 2 4] [--runs 60] [--tracking-uri http://127.0.0.1:5000]

Each process writes its share of a study's trials, figures included, as the processes of a search do; without
--tracking-uri into a SQLite file. CPU is that of the writing processes. A server and its database take theirs besides.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import throughput
from search.store.store import Store
from search.study.data import DataRequest, load_data
from search.tracking.client import configure_mlflow
from search.tracking.trial_runs import TrialRunLogger


def write(place: str, uri: str, study: str, numbers: range, ready: Any, answers: Any) -> None:
    """Write the runs of some trials and tell how long it took, without what a process loads first."""
    store = Store(Path(place), uri)
    configure_mlflow(store)
    logger = TrialRunLogger(store, store.study(study), {"figures": 0.0, "tracking": 0.0})
    logger.log(numbers[0])
    ready.wait()
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    for number in numbers[1:]:
        logger.log(number)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    answers.put((time.perf_counter() - started, cpu))


def measure(processes: int, runs: int, uri: str | None) -> tuple[float, float]:
    """Return runs a second, and CPU seconds of a run in the processes that write.

    Args:
        processes: Processes that write.
        runs: Runs of each, beside its first.
        uri: The tracking URI; None: a SQLite file.
    """
    with tempfile.TemporaryDirectory() as place:
        store = Store.at(Path(place), uri or f"sqlite:///{place}/mlflow.db")
        config, data = throughput.a_config("random"), load_data(DataRequest(train=None), store.image_cache)
        folder = store.study(f"writers-{processes}-{time.time_ns()}")
        folder.make()
        folder.begin(config.fingerprint(data), "insects-mlp", data)
        count = processes * (runs + 1)
        throughput.run(config, data.splits, folder, throughput.journal_of(store, folder, config), [], count)
        configure_mlflow(store)
        TrialRunLogger(store, folder, {})  # makes the experiment and the search's run, once
        context = multiprocessing.get_context("spawn")
        ready, answers = context.Barrier(processes), context.Queue()
        writers = [
            context.Process(
                target=write,
                args=(place, store.tracking_uri, folder.name, range(first, count, processes), ready, answers),
            )
            for first in range(processes)
        ]
        for writer in writers:
            writer.start()
        found = [answers.get() for _ in writers]
        for writer in writers:
            writer.join()
    return processes * runs / max(wall for wall, _ in found), sum(cpu for _, cpu in found) / (processes * runs)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--runs", type=int, default=60, help="runs of each process")
    parser.add_argument("--tracking-uri", help="a server in place of a SQLite file")
    args = parser.parse_args()
    os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})  # as the processes of a search have
    print(f"{'processes':>9}{'runs a second':>15}{'CPU ms a run':>14}")
    for processes in args.processes:
        rate, cpu = measure(processes, args.runs, args.tracking_uri)
        print(f"{processes:>9}{rate:>15.1f}{1e3 * cpu:>14.0f}", flush=True)


if __name__ == "__main__":
    main()
