"""The pruner: its thresholds are taken when a trial is asked for, so its decisions are reproducible."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insects.trial import TrialResult

# As Optuna's MedianPruner: no decision before so many trials are complete.
STARTUP_TRIALS = 5


@dataclass(frozen=True)
class PercentilePruner:
    """Prunes a trial whose lowest objective so far is above a percentile of the completed trials' objectives.

    The rule is that of Golovin et al., Google Vizier (2017), section 3.2.1, and of Optuna's PercentilePruner, which
    counts infinite values where this pruner leaves them out.

    Attributes:
        percentile: The percentile, in (0, 100]: 50 is the median rule; None: nothing is pruned.
    """

    percentile: float | None = None

    def ignores_results(self, told: int) -> bool:
        """Tell whether the thresholds are the same whatever the results are, when so many are told."""
        return self.percentile is None or told < STARTUP_TRIALS

    def prune_above(self, told: Sequence[TrialResult], epochs: int) -> NDArray[np.float64]:
        """Return the thresholds of a trial that is asked for now.

        Args:
            told: The results known now, in order.
            epochs: Epochs of a full trial.

        Returns:
            `(epochs,)` objective above which the trial is pruned after each epoch; infinity: no threshold.
        """
        limits = np.full(epochs, np.inf)
        if self.percentile is None:
            return limits
        complete = [result for result in told if result.state == "complete"]
        if len(complete) < STARTUP_TRIALS:
            return limits
        losses = np.full((len(complete), epochs), np.nan)
        for row, result in zip(losses, complete, strict=True):
            row[: result.epochs] = result.objectives
        known = np.isfinite(losses)
        for epoch in np.flatnonzero(known.any(axis=0)):
            limits[epoch] = np.percentile(losses[known[:, epoch], epoch], self.percentile)
        return limits
