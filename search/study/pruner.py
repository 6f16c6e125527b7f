"""The stopping rule: thresholds taken when a trial is asked for, so that a decision repeats exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insects.trial import TrialResult

# As Optuna's MedianPruner: no decision before so many trials have been completed.
STARTUP_TRIALS = 5


@dataclass(frozen=True)
class StoppingRule:
    """Prune a trial whose lowest validation loss so far is above a percentile of what completed trials had then.

    percentile: in (0, 100], the share of completed trials that is kept; 50 is the median rule; None never stops.
    Golovin et al., Google Vizier (2017), section 3.2.1. Optuna's PercentilePruner decides the same, but counts infinite
    losses where this leaves them out.
    """

    percentile: float | None = None

    def thresholds(self, told: Sequence[TrialResult], epochs: int) -> NDArray[np.float64]:
        """Validation loss `(epochs,)` above which a trial is stopped after each epoch; infinity where nothing is known.

        told: the results of the trials told by now, in order.
        """
        limits = np.full(epochs, np.inf)
        complete = [result for result in told if result.state == "complete"]
        if self.percentile is None or len(complete) < STARTUP_TRIALS:
            return limits
        losses = np.full((len(complete), epochs), np.nan)
        for row, result in zip(losses, complete, strict=True):
            row[: result.epochs] = result.valid_losses
        known = np.isfinite(losses)
        for epoch in np.flatnonzero(known.any(axis=0)):
            limits[epoch] = np.percentile(losses[known[:, epoch], epoch], self.percentile)
        return limits
