"""Training as a pure function behind which two engines stand: `compiled` (CPU) and `torch` (any device)."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from insects.splits import Splits
from insects.training.state import METRICS, TrainingInterrupted, TrainingState, batch_order, init

__all__ = ["ENGINES", "METRICS", "Engine", "TrainingInterrupted", "TrainingState", "advance", "batch_order", "init"]

Engine = Literal["compiled", "torch"]
ENGINES: tuple[Engine, ...] = get_args(Engine)


def advance(
    state: TrainingState,
    splits: Splits,
    epochs: int,
    stops: NDArray[np.float64] | None = None,
    *,
    engine: Engine = "compiled",
    device: str = "cpu",
    interrupt: NDArray[np.uint8] | None = None,
) -> TrainingState:
    """Train up to `epochs` more epochs; the input is not changed, and the same input gives the same output.

    Ends earlier at the recipe's last epoch, at a loss that is not finite, or after an epoch `e` (from 0) with the
    lowest validation loss so far above `stops[e]`. A state that is not `running` comes back as it is.

    Args: stops: `(recipe.epochs,)` float64 thresholds, infinity where there is none; None: no threshold at all.
    device: a torch device, for the torch engine. interrupt: `(1,)` uint8, set to 1 by another thread to end early.
    Raises: TrainingInterrupted: `interrupt` was seen.
    """
    if state.status != "running":
        return state
    if stops is None:
        stops = np.full(state.recipe.epochs, np.inf)
    if interrupt is None:
        interrupt = np.zeros(1, np.uint8)
    if engine == "compiled":
        from insects.training import compiled

        return compiled.advance(state, splits, epochs, stops, interrupt)
    from insects.training import torch_loop

    return torch_loop.advance(state, splits, epochs, stops, interrupt, device)
