"""How long a search takes on a cluster, and how busy its workers are: a model of the coordinator and its workers.

    python -m benchmarks.cluster_model --seconds 60 --trials 1000
    python -m benchmarks.cluster_model --seconds 5 --window 200 --failures 0.01 --workers 10,100,1000
    python -m benchmarks.cluster_model --check

The model follows `search/study/loop.py`. One thread asks, stores and tells: trial n is asked when the trials up to
n - window have been told, except trials that depend on no other, of which a few for each worker are in flight. Workers
take trials in the order of their numbers. A worker that is lost costs the trial that it trains, which the next free
worker trains again, and comes back after a while. MLflow is fed by one process beside it.

The costs of coordinator and tracking are measured by `benchmarks.throughput`, those of results that arrive by
`benchmarks.cluster`. `--check` runs searches on clusters here: two worker processes that train, and one of sixteen
threads whose trials sleep for most of a second. The first search on each tells what sending costs, the others are
compared with what the model says of them.
"""

from __future__ import annotations

import heapq
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np

from benchmarks import throughput
from search.study.loop import QUEUED
from search.study.sampler import SamplerName

WORKERS = "10,30,100,300,1000,3000,10000"
CHEAP_TRIALS, TRACKED_TRIALS = 200, 50
CHECKED_TRIALS, CHECKED_WORKERS = 60, 2
NO_MLFLOW = "http://127.0.0.1:9"  # nobody answers there, so nothing but the cluster takes this machine's cores
PADDED_TRIALS, PADDED_WORKERS, PADDED_SECONDS = 320, 16, 1.0


@dataclass(frozen=True)
class Costs:
    """Seconds of one trial outside its training.

    Attributes:
        sampling: The coordinator asks and tells.
        storing: The coordinator writes the result.
        tracking: The process beside it writes the run to MLflow.
        sending: From the coordinator to a free worker and back.
        arriving: The coordinator receives the result.
    """

    sampling: float
    storing: float
    tracking: float
    sending: float
    arriving: float = 0.0


@dataclass(frozen=True)
class Cluster:
    """Workers and their failures.

    Attributes:
        workers: Trials that are trained side by side.
        failures: Probability that a worker is lost during a trial.
        away: Seconds until a lost worker is there again.
    """

    workers: int
    failures: float = 0.0
    away: float = 60.0


@dataclass(frozen=True)
class Prediction:
    """What the model says of a search.

    Attributes:
        trained: Seconds until the last trial is told.
        delivered: Seconds until the last run is in MLflow.
        busy: Share of the workers' time until `trained` that goes into trainings that end.
        coordinator: Share of that time in which the coordinator asks, stores or tells.
    """

    trained: float
    delivered: float
    busy: float
    coordinator: float


@dataclass
class Workers:
    """Workers that take trials in the order in which they come.

    Attributes:
        cluster: What is modelled.
        sending: Seconds to a worker and back.
        random: Draws the failures.
    """

    cluster: Cluster
    sending: float
    random: np.random.Generator
    _free: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._free = [0.0] * self.cluster.workers

    def train(self, submitted: float, seconds: float) -> float:
        """Return when the result of a trial is with the coordinator.

        Args:
            submitted: When it is handed out.
            seconds: Its training.
        """
        started = max(submitted, heapq.heappop(self._free))
        while self.random.random() < self.cluster.failures:
            lost = started + self.random.random() * seconds
            self._free.append(lost + self.cluster.away)
            # Who was free before has taken one of the trials that wait, which this model hands out later.
            started = min(free for free in self._free if free >= lost)
            self._free.remove(started)
            heapq.heapify(self._free)
        ended = started + self.sending + seconds
        heapq.heappush(self._free, ended)
        return ended


def predict(
    seconds: list[float], cluster: Cluster, window: int, independent: int, costs: Costs, seed: int = 0
) -> Prediction:
    """Follow the coordinator through a study.

    Args:
        seconds: The training of each trial.
        cluster: Where they are trained.
        window: Trials in flight at most, of those that depend on others.
        independent: Trials at the beginning that depend on no other.
        costs: What a trial costs besides.
        seed: Of the failures.

    Raises:
        ValueError: There is no trial.
    """
    if not seconds:
        raise ValueError("a prediction needs at least one trial")
    workers = Workers(cluster, costs.sending, np.random.default_rng(seed))
    now = worked = tracked = 0.0
    arriving: list[tuple[float, int]] = []
    stored: set[int] = set()
    told = 0

    def work(cost: float) -> None:
        nonlocal now, worked
        now, worked = now + cost, worked + cost

    def store_next() -> None:
        nonlocal now, tracked
        arrived, number = heapq.heappop(arriving)
        now = max(now, arrived)
        work(costs.arriving + costs.storing)
        stored.add(number)
        tracked = max(tracked, now) + costs.tracking

    def tell_to(last: int) -> None:
        nonlocal told
        while told <= last:
            while told not in stored:
                store_next()
            work(costs.sampling / 2)
            told += 1

    for number, training in enumerate(seconds):
        if number >= independent:
            tell_to(number - window)
        else:
            while len(arriving) >= max(window, QUEUED * cluster.workers):
                store_next()
        work(costs.sampling / 2)
        heapq.heappush(arriving, (workers.train(now, training), number))
        while arriving and arriving[0][0] <= now:
            store_next()
    tell_to(len(seconds) - 1)
    return Prediction(now, max(now, tracked), sum(seconds) / (cluster.workers * now), worked / now)


def measured_costs(sampler: SamplerName, sending: float, arriving: float) -> Costs:
    """Measure what a trial costs the coordinator and MLflow on this machine."""
    alone, clock = throughput.measure(sampler, CHEAP_TRIALS, mlflow=False, storage=None)
    tracked, _ = throughput.measure(sampler, TRACKED_TRIALS, mlflow=True, storage=None)
    sampling = clock.parts["sampling"] / CHEAP_TRIALS
    return Costs(sampling, alone / CHEAP_TRIALS - sampling, tracked / TRACKED_TRIALS, sending, arriving)


def independent_trials(sampler: SamplerName, window: int, trials: int) -> int:
    """Number of trials at the beginning of a study that depend on no other."""
    config = replace(throughput.a_config(sampler), window=window)
    return next((number for number in range(trials) if not config.is_independent(number)), trials)


def compare_with_searches() -> None:
    """Search on local clusters, and print what the model says of the same trials."""
    few: list[tuple[SamplerName, int]] = [("tpe", 1), ("tpe", 2), ("tpe", 4), ("qmc", 4)]
    with local_cluster() as scheduler:
        compare(scheduler, Cluster(CHECKED_WORKERS), CHECKED_TRIALS, few)
    many: list[tuple[SamplerName, int]] = [("tpe", 4), ("tpe", 16), ("tpe", 32), ("qmc", 4)]
    padded = ("--preload", "benchmarks.padded_trials")
    with local_cluster(*padded, workers=1, threads=PADDED_WORKERS, TRIAL_SECONDS=str(PADDED_SECONDS)) as scheduler:
        compare(scheduler, Cluster(PADDED_WORKERS), PADDED_TRIALS, many)


def compare(scheduler: Path, cluster: Cluster, trials: int, checked: list[tuple[SamplerName, int]]) -> None:
    """Search on a cluster, and print what the model says of the same trials."""
    search(scheduler, "random", 4, 2 * cluster.workers)  # the workers load the engine
    answer = search(scheduler, "random", 4, trials)
    sending = fitted_sending(answer, cluster)
    print(f"{cluster.workers} workers: sending {1e3 * sending:.1f} ms, from a random search of {trials} trials")
    for sampler, window in checked:
        answer = search(scheduler, sampler, window, trials)
        found, measured = modelled(answer, cluster, sampler, window, sending), loop_seconds(answer)
        print(
            f"{cluster.workers} workers, {sampler} window {window}: {measured:.2f} s measured, {found.trained:.2f} s "
            f"by the model ({found.trained / measured - 1:+.1%}), workers {found.busy:.0%} busy",
            flush=True,
        )


@contextmanager
def local_cluster(
    *options: str, workers: int = CHECKED_WORKERS, threads: int = 1, **environment: str
) -> Iterator[Path]:
    """Start a Dask scheduler and workers; yields the scheduler file.

    Args:
        options: Further options of the workers.
        workers: Worker processes.
        threads: Threads of each.
        environment: Further variables of their environment.
    """
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "scheduler.json")
        worker = ("worker", "--nthreads", str(threads), "--no-nanny", "--local-directory", place, *options)
        commands = [("scheduler", "--host", "127.0.0.1", "--port", "0"), *[worker] * workers]
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "dask", *command, "--no-dashboard", "--scheduler-file", str(file)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **environment},
            )
            for command in commands
        ]
        try:
            while not file.exists() and processes[0].poll() is None:
                time.sleep(0.1)
            yield file
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()


def search(scheduler: Path, sampler: SamplerName, window: int, trials: int) -> dict[str, Any]:
    """Search on the cluster, and return what the command prints."""
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-c", "from search.cli import search; search()", "--cluster", str(scheduler)]
        options = ["--trials", str(trials), "--finalists", "0", "--sampler", sampler, "--window", str(window)]
        command += [*options, "--store", store, "--json"]
        command += ["--tracking-uri", NO_MLFLOW]
        answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        return answer


def loop_seconds(answer: dict[str, Any]) -> float:
    """Seconds from the first question to the last answer."""
    return float(sum(answer["seconds"][part] for part in ("sampling", "storing", "waiting")))


def modelled(answer: dict[str, Any], cluster: Cluster, sampler: SamplerName, window: int, sending: float) -> Prediction:
    """What the model says of the trials of a search."""
    durations = [trial["seconds"] for trial in answer["trials"]]
    sampling, storing = (answer["seconds"][part] / len(durations) for part in ("sampling", "storing"))
    costs = Costs(sampling, storing, 0.0, sending)
    independent = independent_trials(sampler, window, len(durations))
    return predict(durations, cluster, window, independent, costs)


def fitted_sending(answer: dict[str, Any], cluster: Cluster) -> float:
    """Seconds of sending with which the model takes as long as a random search did."""
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        is_short = modelled(answer, cluster, "random", 4, middle).trained < loop_seconds(answer)
        low, high = (middle, high) if is_short else (low, middle)
    return low


@click.command()
@click.option("--seconds", default=60.0, show_default=True, help="Median training of a trial.")
@click.option("--spread", default=0.5, show_default=True, help="Standard deviation of its logarithm.")
@click.option("--trials", default=1000, show_default=True)
@click.option("--workers", default=WORKERS, show_default=True, help="Trials trained side by side, several numbers.")
@click.option("--window", type=int, help="Trials in flight.  [default: 4, and the number of workers]")
@click.option("--sampler", type=click.Choice(get_args(SamplerName)), default="tpe", show_default=True)
@click.option("--failures", default=0.0, show_default=True, help="Probability that a worker is lost during a trial.")
@click.option("--away", default=60.0, show_default=True, help="Seconds until it is there again.")
@click.option("--sending", default=0.01, show_default=True, help="Seconds to a worker and back; see --check.")
@click.option("--arriving", default=0.004, show_default=True, help="CPU seconds of a result that arrives.")
@click.option("--check", is_flag=True, help="Compare the model with searches on a local cluster.")
def main(
    seconds: float,
    spread: float,
    trials: int,
    workers: str,
    window: int | None,
    sampler: SamplerName,
    failures: float,
    away: float,
    sending: float,
    arriving: float,
    check: bool,
) -> None:
    """Predict the time of a search for several numbers of workers."""
    if check:
        compare_with_searches()
        return
    costs = measured_costs(sampler, sending, arriving)
    print("costs of a trial: " + ", ".join(f"{name} {1e3 * value:.1f} ms" for name, value in asdict(costs).items()))
    durations = np.random.default_rng(0).lognormal(np.log(seconds), spread, trials).tolist()
    print(f"{'workers':>8} {'window':>8} {'trained':>12} {'in MLflow':>12} {'busy':>6} {'coordinator':>12}")
    for count in map(int, workers.split(",")):
        for in_flight in [window] if window else sorted({4, count}):
            independent = independent_trials(sampler, in_flight, trials)
            found = predict(durations, Cluster(count, failures, away), in_flight, independent, costs)
            print(
                f"{count:>8} {in_flight:>8} {found.trained:>10.0f} s {found.delivered:>10.0f} s {found.busy:>6.0%} "
                f"{found.coordinator:>12.0%}"
            )


if __name__ == "__main__":
    main()
