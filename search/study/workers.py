"""Before training: how many trials run side by side, and loading the compiled engine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from insects import memory
from insects.errors import DeviceError, StudyError
from insects.mlp import Shape, parameter_count
from insects.params import TrialParams
from insects.splits import Splits
from insects.training import Engine
from search.study.config import StudyConfig
from search.study.space import SearchSpace
from search.system.terminal import say

COMPILE_SECONDS = 3.0  # loading compiled code takes less
_NUMBA_CONFIG = Path(".numba_config.yaml")  # numba reads it in the working directory
_COPIES = 3  # copies of the rows beside training: in the process that draws the figures, or as a worker holds them


class MemoryFit:
    """Tells how many trials fit into memory; see `search.workers.protocol.MemoryCheck`.

    Where fewer fit than are wanted it says so, once. That changes no result.

    Args:
        config: The study's settings. Trials on another device take that device's memory, which is not checked.
        splits: The data.
    """

    def __init__(self, config: StudyConfig, splits: Splits) -> None:
        self._config, self._splits = config, splits
        self._said: set[str] = set()

    def __call__(self, free: int | None, wanted: int) -> int:
        """Return how many trials are trained side by side.

        Raises:
            StudyError: The largest trial of the space does not fit into memory.
        """
        config, splits = self._config, self._splits
        if free is None or config.choice.device != "cpu":
            return wanted
        free = max(0, free - _COPIES * (splits.train_x.nbytes + splits.valid_x.nbytes))
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
            self._say(f"Trials side by side: {fitting}, since one may take {memory.gigabytes(needed)} of memory")
        return min(wanted, fitting)

    def _say(self, line: str) -> None:
        if line not in self._said:  # many workers of a cluster are alike
            self._said.add(line)
            say(line)


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


def report_idle(workers: int | None, config: StudyConfig, trials: int) -> None:
    """Say that some workers will wait for the window.

    Args:
        workers: Trials that could be trained side by side; None: unknown.
        config: The study's settings.
        trials: Trials that the study will have.
    """
    if workers is None or workers <= config.window or config.is_independent(trials - 1):
        return
    say(
        f"{config.window} of {workers} workers train at a time once proposals follow from results, since --window is "
        f"{config.window}: a larger one uses more of them and costs search quality (mean regret 9.4 at 4, 12.1 at 16; "
        "docs/defaults.md), and it is another study"
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
