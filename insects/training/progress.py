"""How far a training is: written by the thread that trains, read by others meanwhile."""

from __future__ import annotations

import math

import numpy as np

from insects.objective import METRICS

_CACHE_LINE = 8  # int64 numbers
_LONG_EPOCH = 50_000  # rows
_VALID = [METRICS.index("valid_loss"), METRICS.index("valid_accuracy")]


class Progress:
    """How far one training is.

    Attributes:
        row_count: `(1,)` int64, training rows done; a row counts again in each epoch.
        history: `(E, 4)` float64, a row for each epoch, columns `insects.objective.METRICS`; not-a-number in epochs
            that are not done.

    Args:
        epochs: Epochs of the training, E.
        rows: Training rows of an epoch.
    """

    def __init__(self, epochs: int, rows: int) -> None:
        self._rows = rows
        self.history = np.full((epochs, len(METRICS)), np.nan)
        # Two threads that write to one cache line slow each other down: these numbers have one to themselves.
        self.row_count = np.zeros(2 * _CACHE_LINE + 1, np.int64)[_CACHE_LINE : _CACHE_LINE + 1]

    @property
    def epochs(self) -> float:
        """Epochs done, with the part of the current one."""
        return float(self.row_count[0]) / self._rows

    def shown_epochs(self, digits: int) -> str:
        """Return the epochs done for people.

        Args:
            digits: Decimals where an epoch is long, so that something moves.
        """
        return f"{self.epochs:.{digits}f}" if self._rows >= _LONG_EPOCH else str(int(self.epochs))

    @property
    def last(self) -> tuple[float, float] | None:
        """Validation loss and accuracy after the last epoch; None before its end."""
        done = int(self.row_count[0]) // self._rows
        for loss, accuracy in self.history[max(0, done - 2) : done, _VALID][::-1].tolist():
            if not math.isnan(accuracy):  # else the validation rows of this epoch are not done
                return loss, accuracy
        return None
