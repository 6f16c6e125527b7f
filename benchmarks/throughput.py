"""What a trial costs the coordinator: trials that train nothing, and where their time goes.

    python -m benchmarks.throughput [--trials 100 1000 10000] [--samplers random qmc tpe] [--mlflow 300] [--storage URL]
                                    [--figure docs/throughput.png]

Training is replaced by a result that is there at once, so what is left is the study's own work: asking the sampler,
writing the result to the disk, Optuna's journal, and with --mlflow the runs with their figures. Growth is the CPU time
of a trial in the last tenth over that in the trials 10 to 100, both medians: other programs disturb it least.
"""

from __future__ import annotations

import argparse
import platform
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from matplotlib.figure import Figure

from insects.devices import Choice
from insects.mlp import initial_weights
from insects.params import Recipe
from insects.splits import Splits
from insects.tasks import StudyRows
from insects.trial import TrialResult, TrialTask
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.config import FinalSettings, StudyConfig, fingerprint_digest
from search.study.data import DataRequest, load_data
from search.study.journal import OptunaJournal
from search.study.loop import StudyLoop
from search.study.pruner import PercentilePruner
from search.study.sampler import Proposer, SamplerName
from search.study.space import SearchSpace
from search.system.signals import StopFlag
from search.upload.database_export import DatabaseExport
from search.upload.run_queue import RunQueue
from search.upload.runs_worker import RunsWorker
from search.upload.uploader import upload_workers
from search.workers.in_flight import TrainingsInFlight
from search.workers.protocol import MemoryCheck

EPOCHS = 20
PARTS = ("sampling", "storing", "journal", "other")

_Result = TypeVar("_Result")


class NoTraining:
    """Workers that answer every trial at once with made-up losses and the weights that it begins with."""

    count = 1

    def __init__(self, splits: Splits) -> None:
        self.watched = TrainingsInFlight()
        self._splits = splits

    def open(self, rows: StudyRows, check: MemoryCheck, folder: Path) -> None:
        """Do nothing: nothing is trained."""

    def submit(self, task: Any) -> Future[Any]:
        """Return the result of a trial, done."""
        future: Future[Any] = Future()
        future.set_result(made_up(task, self._splits))
        return future

    def interrupt(self) -> None:
        """Do nothing: every trial has ended."""

    def close(self) -> None:
        """Do nothing: there is no worker."""


def made_up(task: TrialTask, splits: Splits) -> TrialResult:
    """Return a result that a sampler can learn from."""
    params, rng = task.params, np.random.default_rng(task.number)
    loss = abs(np.log10(params.lr) + 2) + params.depth / 5 + rng.random() / 10
    history = np.tile(loss + 1 / np.arange(1, task.recipe.epochs + 1), (4, 1)).T
    weights = initial_weights(params, splits.shape, rng)
    return TrialResult(
        task.number, params, "complete", "", history, task.recipe.epochs, weights, time.time(), 0.001, "loss"
    )


@dataclass
class Clock:
    """Seconds of each trial, by part.

    Attributes:
        parts: Seconds so far, by part.
        ended: When each trial had been told, in seconds since the start.
        cpu: CPU seconds of this process at that time.
        memory: Its memory at that time, in MiB.
    """

    parts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    ended: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    def timed(self, part: str, call: Callable[..., _Result]) -> Callable[..., _Result]:
        """Return the call with its time counted as `part`."""

        def measured(*args: Any) -> _Result:
            begun = time.perf_counter()
            try:
                return call(*args)
            finally:
                self.parts[part] += time.perf_counter() - begun

        return measured

    def told(self) -> None:
        """Note that a trial is done."""
        self.ended.append(time.perf_counter() - self.started)
        self.cpu.append(time.process_time())
        self.memory.append(resident_mib())

    @property
    def growth(self) -> float:
        """The median CPU time of a trial in the last tenth over that in the trials 10 to 100."""
        each = np.diff(self.cpu)
        return float(np.median(each[-len(each) // 10 :]) / np.median(each[10:100]))


def resident_mib() -> float:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def a_config(sampler: SamplerName) -> StudyConfig:
    """Return the settings of a study on the default space."""
    return StudyConfig(
        space=SearchSpace(),
        recipe=Recipe(EPOCHS),
        sampler=sampler,
        pruner=PercentilePruner(None),
        window=4,
        seed=0,
        configs=(),
        choice=Choice("cpu", "compiled", "as asked"),
        final=FinalSettings(0, 2),
    )


def measure(sampler: SamplerName, trials: int, mlflow: bool, storage: str | None) -> tuple[float, Clock]:
    """Run a study in a store of its own and return its seconds, until all is written, and its clock."""
    with tempfile.TemporaryDirectory() as place:
        store = Store.at(Path(place), f"sqlite:///{place}/mlflow.db", storage)
        config, data = a_config(sampler), load_data(DataRequest(train=None), store.image_cache)
        folder = store.study("throughput")
        folder.make()
        folder.begin(config.fingerprint(data), "insects-mlp", data)
        if not (mlflow or storage):
            clock = run(config, data.splits, folder, journal_of(store, folder, config), [], trials)
            return clock.ended[-1], clock
        with upload_workers(store) as workers:
            for warming in workers.warming:
                warming.result()
            workers.runs.submit(RunsWorker.open, folder.name).result()
            export: Any = journal_of(store, folder, config)
            if workers.storage is not None:
                export = DatabaseExport(workers.storage, store, folder, lambda: None)
            runs = RunQueue(workers.runs, lambda: workers.start_helper(folder))
            listeners = [Tracking(runs)] if mlflow else []
            started = time.perf_counter()
            clock = run(config, data.splits, folder, export, listeners, trials)
            runs.wait(lambda: None)
            if workers.storage is not None:
                export.finish(lambda: None)
            return time.perf_counter() - started, clock


def journal_of(store: Store, folder: StudyFolder, config: StudyConfig) -> OptunaJournal:
    """Return the journal of a new study."""
    return OptunaJournal(store.journal, folder.name, fingerprint_digest(folder.fingerprint), 0, config.space)


def run(
    config: StudyConfig, splits: Splits, folder: StudyFolder, export: Any, listeners: list[Any], trials: int
) -> Clock:
    """Run the loop with each of its parts timed."""
    clock = Clock()
    proposer = Proposer(config.space, config.sampler, config.seed)
    tell = clock.timed("sampling", proposer.tell)

    def told(result: TrialResult) -> None:
        tell(result)
        clock.told()

    # The loop finds these on the objects: what they cost is counted, what they do is unchanged.
    proposer.ask = clock.timed("sampling", proposer.ask)  # type: ignore[method-assign]
    proposer.tell = told  # type: ignore[method-assign]
    folder.save = clock.timed("storing", folder.save)  # type: ignore[method-assign]
    export.add = clock.timed("journal", export.add)
    StudyLoop(
        config=config,
        folder=folder,
        workers=NoTraining(splits),
        journal=export,
        proposer=proposer,
        stop=StopFlag(),
        listeners=listeners,
    ).run(trials)
    clock.parts["other"] = clock.ended[-1] - sum(clock.parts.values())
    return clock


class Tracking:
    """Brings each trial to MLflow in the background, as a search does."""

    def __init__(self, runs: RunQueue) -> None:
        self._runs = runs

    def trained(self, result: TrialResult) -> None:
        """Add the run of a trial."""
        self._runs.add(result.number, 0)

    def known(self, result: TrialResult) -> None:
        """Do nothing: there is none."""


def draw(clocks: Mapping[str, Clock], path: Path) -> None:
    """Draw the CPU time of a trial, a median of 100, and the memory, against the trials told so far."""
    figure = Figure((9.0, 3.2), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    for sampler, clock in clocks.items():
        each = 1e3 * np.diff(clock.cpu)
        blocks = each[: len(each) // 100 * 100].reshape(-1, 100)
        time_axes.plot(100 * (np.arange(len(blocks)) + 0.5), np.median(blocks, axis=1), label=sampler)
        memory_axes.plot(np.array(clock.memory) - clock.memory[0], label=sampler)
    time_axes.set(xlabel="trials told", ylabel="CPU ms a trial, median of 100", ylim=(0, None))
    memory_axes.set(xlabel="trials told", ylabel="MiB more than at the first trial", ylim=(0, None))
    time_axes.legend()
    figure.savefig(path, dpi=100)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--samplers", nargs="+", default=["random", "qmc", "tpe"])
    parser.add_argument("--mlflow", type=int, default=300, help="trials with MLflow; 0: none")
    parser.add_argument("--storage", help="database in place of the journal; new each time")
    parser.add_argument("--figure", type=Path, help="draw time and memory of the longest studies there")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}; ms a trial, {EPOCHS} epochs reported, nothing trained")
    print(
        f"{'sampler':<9}{'trials':>8}{'MLflow':>8}{'a second':>10}"
        + "".join(f"{p:>10}" for p in PARTS)
        + f"{'growth':>8}"
    )
    curves: dict[str, Clock] = {}
    for mlflow, counts in ((False, args.trials), (True, [args.mlflow] if args.mlflow else [])):
        for sampler in args.samplers:
            for trials in counts:
                seconds, clock = measure(sampler, trials, mlflow, args.storage)
                shares = "".join(f"{1e3 * clock.parts[part] / trials:>10.2f}" for part in PARTS)
                print(
                    f"{sampler:<9}{trials:>8}{'yes' if mlflow else 'no':>8}{trials / seconds:>10.1f}{shares}"
                    f"{clock.growth:>8.2f}",
                    flush=True,
                )
                if not mlflow:
                    curves[sampler] = clock
    if args.figure:
        draw(curves, args.figure)


if __name__ == "__main__":
    main()
