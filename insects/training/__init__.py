"""Train one network: `advance` takes a state to the next, on the compiled engine (CPU) or with torch (any device)."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from insects.objective import METRICS
from insects.splits import Splits
from insects.training.progress import Progress
from insects.training.state import TrainingInterrupted, TrainingState, batch_order, fold_seed, init

__all__ = [
    "ENGINES",
    "METRICS",
    "Engine",
    "Progress",
    "TrainingInterrupted",
    "TrainingState",
    "advance",
    "batch_order",
    "fold_seed",
    "init",
]

Engine = Literal["compiled", "torch"]
ENGINES: tuple[Engine, ...] = get_args(Engine)


def advance(
    state: TrainingState,
    splits: Splits,
    epochs: int,
    prune_above: NDArray[np.float64] | None = None,
    *,
    engine: Engine = "compiled",
    device: str = "cpu",
    interrupt: NDArray[np.uint8] | None = None,
    progress: Progress | None = None,
) -> TrainingState:
    """Train up to `epochs` more epochs. A pure function: the same arguments give the same state, bit for bit.

    Training ends earlier at the recipe's last epoch, at a loss that is not finite, or where the trial is pruned. A
    state that is not `running` is returned as it is.

    Args:
        state: Where to start; it is not changed.
        splits: Training and validation rows.
        epochs: The most epochs to train.
        prune_above: `(recipe.epochs,)` float64. The trial is pruned after epoch e (from 0) if its lowest objective so
            far (see `insects.objective`) is above `prune_above[e]`; infinity never prunes. None: no thresholds.
        engine: `compiled` for the CPU, or `torch`.
        device: Torch device, for the torch engine.
        interrupt: `(1,)` uint8; another thread sets it to 1 to end training.
        progress: Follows the training, for another thread to read; its epochs and rows are those of `state` and
            `splits`.

    Returns:
        The state after the last epoch trained.

    Raises:
        TrainingInterrupted: `interrupt` was set.
    """
    if state.status != "running":
        return state
    if prune_above is None:
        prune_above = np.full(state.recipe.epochs, np.inf)
    if interrupt is None:
        interrupt = np.zeros(1, np.uint8)
    if progress is None:
        progress = Progress(state.recipe.epochs, len(splits.train_y))
    progress.row_count[0] = state.epoch * len(splits.train_y)
    # Imported here, because a study needs only one of numba and torch, and each takes a second to load.
    if engine == "compiled":
        from insects.training import compiled

        return compiled.advance(state, splits, epochs, prune_above, interrupt, progress)
    from insects.training import torch_loop

    return torch_loop.advance(state, splits, epochs, prune_above, interrupt, progress, device)
