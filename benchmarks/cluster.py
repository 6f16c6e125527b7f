"""How busy the workers of a Dask cluster are with short trials, and what a trial costs there beside threads.

    python -m benchmarks.cluster [--seconds 0.2] [--trials 100] [--rounds 2] [--samplers random tpe] [--padded]

Two workers of one thread each, and two threads, train the same studies in turns on this machine. A trial trains for
about --seconds; where coordinator and workers share cores, its training takes longer. With --padded it trains for a
tenth of that and sleeps for the rest, which leaves what the cluster itself costs.

Busy is the share of the workers' time that goes into trainings, from one second after the first began until the last
begins. Idle is the rest, a trial. CPU is that of the coordinator: what it is on Dask beyond that of a study whose
results are there at once is the price of results that arrive.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.cluster_model import CHECKED_WORKERS, local_cluster
from benchmarks.padded_trials import pad
from benchmarks.throughput import NoTraining, a_config, journal_of
from insects.machine import DeviceRequest
from insects.params import Recipe, TrialParams
from insects.tasks import StudyRows
from insects.trial import TrialResult, TrialTask, run_trial
from search.store.store import Store
from search.study.config import StudyConfig, study_digest
from search.study.data import DataRequest, load_data
from search.study.loop import StudyLoop
from search.study.sampler import Proposer, SamplerName
from search.study.space import SearchSpace
from search.study.workers import MemoryFit
from search.system.signals import StopFlag
from search.workers.dask_cluster import DaskWorkers
from search.workers.protocol import Workers
from search.workers.threads import ThreadWorkers

SETTLED_SECONDS = 1.0
# All trials cost the same: the learning rate alone is searched.
SPACE = SearchSpace(depth=(2, 2), width=(64, 64), batch_size=(16,))
PARAMS = TrialParams(depth=2, width=64, lr=0.001, batch_size=16)


@dataclass(frozen=True)
class Usage:
    """How a study used its workers.

    Attributes:
        training: Mean seconds of a trial.
        busy: Share of the workers' time that goes into trainings.
        idle: Seconds of a worker without training, a trial.
    """

    training: float
    busy: float
    idle: float

    @classmethod
    def of(cls, results: Sequence[TrialResult], workers: int) -> Usage:
        """Return the usage by the times of the results."""
        started = np.array([result.started for result in results])
        ended = started + [result.seconds for result in results]
        begin, end = started.min() + SETTLED_SECONDS, started.max()
        worked = np.clip(np.minimum(ended, end) - np.maximum(started, begin), 0, None).sum()
        available = workers * (end - begin)
        trials = np.count_nonzero(started >= begin)
        return cls(float((ended - started).mean()), float(worked / available), float((available - worked) / trials))


def epochs_of(seconds: float) -> int:
    """Return how many epochs take so long on an idle core."""
    rows = load_data(DataRequest(train=None), Path()).splits

    def train(epochs: int) -> float:
        started = time.thread_time()
        run_trial(TrialTask(0, PARAMS, Recipe(epochs), 0, np.full(epochs, np.inf), "compiled", "cpu"), rows)
        return time.thread_time() - started

    train(2)  # loads the engine
    return max(2, round(20 * seconds / min(train(20) for _ in range(3))))


def search(config: StudyConfig, trials: int, workers: Workers) -> tuple[list[TrialResult], float]:
    """Train a study in a store of its own, and let the workers go; return CPU seconds of this process too."""
    with tempfile.TemporaryDirectory() as place, closing(workers):
        store = Store.at(Path(place), f"sqlite:///{place}/mlflow.db", None)
        data, folder = load_data(DataRequest(train=None), store.image_cache), store.study("cluster")
        folder.make()
        folder.begin(config.fingerprint(data), "insects-mlp", data)
        workers.open(StudyRows(data.splits), MemoryFit(config, data.splits), folder.path)
        loop = StudyLoop(
            config=config,
            folder=folder,
            workers=workers,
            journal=journal_of(store, folder, config),
            proposer=Proposer(config.space, config.sampler, config.seed),
            stop=StopFlag(),
        )
        before = time.process_time()
        results = loop.run(trials)
        return results, time.process_time() - before


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.2, help="training of a trial")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe"])
    parser.add_argument("--padded", action="store_true", help="train for a tenth, sleep for the rest")
    args = parser.parse_args()
    epochs = epochs_of(args.seconds / 10 if args.padded else args.seconds)
    padding = args.seconds if args.padded else 0.0
    pad(padding)
    print(f"{CHECKED_WORKERS} workers, trials of {epochs} epochs{f', then idle until {padding} s' if padding else ''}")
    print(f"{'sampler':<9}{'where':<9}{'ms a trial':>11}{'busy':>7}{'idle ms a trial':>17}")
    with local_cluster("--preload", "benchmarks.padded_trials", TRIAL_SECONDS=str(padding)) as scheduler:
        request = DeviceRequest("cpu", "compiled", 0.0)
        places: dict[str, Callable[[], Workers]] = {
            "threads": lambda: ThreadWorkers(CHECKED_WORKERS, StopFlag()),
            "Dask": lambda: DaskWorkers(str(scheduler), request),
        }
        search(study_config("random", epochs), 2 * CHECKED_WORKERS, places["Dask"]())  # loads the engine
        for sampler in args.samplers:
            idle: dict[str, list[float]] = {name: [] for name in places}
            digests, cpu = set(), 0.0
            for _ in range(args.rounds):
                for name, workers in places.items():
                    results, used = search(study_config(sampler, epochs), args.trials, workers())
                    cpu = used / args.trials if name == "Dask" else cpu
                    digests.add(study_digest(results))
                    usage = Usage.of(results, CHECKED_WORKERS)
                    idle[name].append(usage.idle)
                    figures = f"{1e3 * usage.training:>11.0f}{usage.busy:>7.1%}{1e3 * usage.idle:>17.1f}"
                    print(f"{sampler:<9}{name:<9}{figures}", flush=True)
            if len(digests) > 1:
                raise SystemExit("the studies differ")
            more = np.mean(idle["Dask"]) - np.mean(idle["threads"])
            print(f"{sampler}: {1e3 * more:.1f} ms more a trial on the cluster than in threads, with equal results")
            nothing = NoTraining(load_data(DataRequest(train=None), Path()).splits)
            _, alone = search(study_config(sampler, epochs), args.trials, nothing)
            print(
                f"{sampler}: {1e3 * cpu:.1f} ms CPU of the coordinator a trial on the cluster, "
                f"{1e3 * alone / args.trials:.1f} where results are there at once",
                flush=True,
            )


def study_config(sampler: SamplerName, epochs: int) -> StudyConfig:
    """Return the settings of a study whose trials cost the same."""
    return replace(a_config(sampler), space=SPACE, recipe=Recipe(epochs))


if __name__ == "__main__":
    main()
