"""Before training: how many trials run side by side, and loading the compiled engine."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insects import memory
from insects.errors import DeviceError, StudyError
from insects.final import FoldTask
from insects.mlp import Shape, parameter_count
from insects.params import TrialParams
from insects.splits import Splits
from insects.training import Engine, Progress
from insects.trial import TrialTask
from search.study.config import StudyConfig
from search.study.space import SearchSpace
from search.system.terminal import say

COMPILE_SECONDS = 3.0  # loading compiled code takes less
_NUMBA_CONFIG = Path(".numba_config.yaml")  # numba reads it in the working directory
_FIGURE_COPIES = 3  # copies of the rows in the process that draws the figures


def trials_at_once(workers: int | None, config: StudyConfig, splits: Splits) -> int:
    """Return how many trials are trained side by side: fewer than asked where memory is short, which changes no result.

    Args:
        workers: The number asked for; None: one a core.
        config: The study's settings. Trials on another device take that device's memory, which is not checked.
        splits: The data.

    Raises:
        StudyError: The largest trial of the space does not fit into memory.
    """
    wanted = workers or os.cpu_count() or 1
    free = memory.available()
    if free is None or config.choice.device != "cpu":
        return wanted
    free = max(0, free - _FIGURE_COPIES * (splits.train_x.nbytes + splits.valid_x.nbytes))
    rows, shape = len(splits.train_y), splits.shape
    largest = _largest(config.space, shape)
    needed = largest_trial_bytes(config.space, splits, config.choice.engine)
    if needed > free:
        raise StudyError(
            f"a trial with {largest.depth} hidden layers of {largest.width} units on {shape.features:,} inputs "
            f"must fit into memory: it takes about {memory.gigabytes(needed)}, {memory.gigabytes(free)} are free; "
            "lower --width, give fewer inputs (--image-size, --features), or end other programs"
        )
    given = [memory.training_bytes(params, shape, rows, config.choice.engine) for params in config.configs]
    # A configuration from --configs that does not fit alone is a failed trial, not the end of the search.
    needed = max(needed, *(size for size in given if size <= free), 1)
    fitting = free // needed
    if fitting < wanted:
        say(f"Trials side by side: {fitting}, since one may take {memory.gigabytes(needed)} of memory")
    return min(wanted, fitting)


def largest_trial_bytes(space: SearchSpace, splits: Splits, engine: Engine) -> int:
    """Return the memory that the largest trial of a space takes.

    Args:
        space: The space.
        splits: The data.
        engine: The engine that trains.
    """
    return memory.training_bytes(_largest(space, splits.shape), splits.shape, len(splits.train_y), engine)


def _largest(space: SearchSpace, shape: Shape) -> TrialParams:
    # With many classes and few units the network without hidden layers is the larger one.
    ends = [TrialParams(depth, space.width[1], space.lr[1], max(space.batch_size)) for depth in space.depth[::-1]]
    return max(ends, key=lambda params: parameter_count(params, shape))


def report_idle(workers: int, window: int) -> None:
    """Say that some workers wait for the window.

    Args:
        workers: Trials that could be trained side by side.
        window: Trials in flight at most.
    """
    if workers > window:
        say(
            f"{window} of {workers} workers train at a time, since --window is {window}: a larger one uses more of "
            "them, but the sampler then knows fewer results at each proposal, and it is another study"
        )


def start_loading(engine: Engine) -> Callable[[], object]:
    """Begin to load the engine in a thread, or to compile it on its first use; the function returned waits for it."""
    if engine == "torch":
        thread = threading.Thread(target=_load_torch, daemon=True)
        thread.start()
        return thread.join
    from insects.training import compiled

    loading = threading.Thread(target=compiled.warm_up, daemon=True)
    loading.start()

    def explain() -> None:
        loading.join(COMPILE_SECONDS)
        if loading.is_alive():
            say("Compiling the training engine for this processor: some seconds, once a machine")

    threading.Thread(target=explain, daemon=True).start()
    return loading.join


def _load_torch() -> None:
    from insects.training import torch_loop  # noqa: F401 - imported for the first training


@dataclass
class InFlight:
    """A training that has been submitted and has not ended.

    Attributes:
        trial: The trial, or that of the finalist.
        fold: The fold that is held out from a network of the final, from 0; None: it is a trial.
        progress: How far it is; None: it waits for a thread.
    """

    trial: TrialTask
    fold: int | None
    progress: Progress | None = None

    @property
    def share_done(self) -> float:
        """How much of it is done, from 0 to 1."""
        return 0.0 if self.progress is None else self.progress.epochs / self.trial.recipe.epochs


class TrainingThreads(ThreadPoolExecutor):
    """Threads that train what `search.study.task_pool.TaskPool` submits, and can be watched meanwhile.

    Args:
        count: Trainings side by side.
        ready: Called in each thread before its first training: waits for the engine, so that no training takes the time
            that loading needs.

    Attributes:
        began: `time.monotonic()` when the first training began; None: none has.
    """

    def __init__(self, count: int, ready: Callable[[], object]) -> None:
        self.began: float | None = None
        self._in_flight: dict[Future[Any], InFlight] = {}
        super().__init__(count, thread_name_prefix="trial", initializer=ready)

    @property
    def in_flight(self) -> list[InFlight]:
        """The trainings that have not ended, in the order of their submission."""
        return list(self._in_flight.values())

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a training; see `search.study.task_pool.TaskPool.submit`."""
        task, splits, interrupt = args
        trial, fold = (task.trial, task.fold) if isinstance(task, FoldTask) else (task, None)
        training = InFlight(trial, fold)

        def train() -> Any:
            self.began = self.began or time.monotonic()
            training.progress = progress = Progress(trial.recipe.epochs, len(splits.train_y))
            return fn(task, splits, interrupt, progress)

        future = super().submit(train)
        self._in_flight[future] = training
        future.add_done_callback(self._in_flight.pop)
        return future


def check_compiler() -> None:
    """Check that numba can be imported and may compile.

    Raises:
        DeviceError: numba's compiler is turned off, or numba cannot read its settings.
    """
    settings = [name for name in sorted(os.environ) if name.startswith("NUMBA_")]
    settings += [f"{_NUMBA_CONFIG} in the working directory"] if os.path.exists(_NUMBA_CONFIG) else []
    try:
        from numba import config
    except Exception as error:  # a wrong setting raises anything; without settings it is a bug
        if not settings:
            raise
        reason = " ".join(str(error).split())[:160]
        raise DeviceError(
            f"the compiled engine needs numba, which cannot be loaded: {reason}; correct {' or '.join(settings)}, "
            "or use --engine torch"
        ) from error
    if getattr(config, "DISABLE_JIT", 0):
        where = "NUMBA_DISABLE_JIT" if "NUMBA_DISABLE_JIT" in settings else f"disable_jit in {settings[-1]}"
        raise DeviceError(
            f"the compiled engine needs numba's compiler, which {where} turns off: unset it, or use --engine torch"
        )
