"""The accuracy to expect of the mean of the networks of a final, none of which saw all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from insects.calibration import softmax
from insects.evaluation import wilson_interval
from insects.final import Finalist


@dataclass(frozen=True)
class Expected:
    """The accuracy to expect of new rows.

    Attributes:
        accuracy: The estimate.
        low: Lower limit of its 95 % interval.
        high: Upper limit.
    """

    accuracy: float
    low: float
    high: float


def expected_accuracy(finalists: Sequence[Finalist], units: int | None = None) -> Expected:
    """Estimate the accuracy of the registered model, the mean of the networks of one finalist.

    Each row was held out of one network of each finalist. What one of these networks says of the row is judged too
    severely, since a mean of several errs less; what the chosen finalist says, too mildly, since luck took part in the
    choice. So the row is judged by the mean of the finalists' probabilities: an average as the registered model is one,
    and no choice.

    The interval is Wilson's, widened since the networks share their training rows: a test on n rows after a training on
    N has the variance of a test on n / (1 + n / N) independent ones (Nadeau and Bengio, 2003,
    doi:10.1023/A:1024068626366). `benchmarks/coverage.py` measures how often it holds.

    Args:
        finalists: The finalists, of the same folds; one at least is sound.
        units: Number of independent units, where several rows belong to one; None: every row is independent.

    Returns:
        The estimate.
    """
    sound = [finalist for finalist in finalists if finalist.is_sound]
    y_N, folds = sound[0].y, len(sound[0].folds)
    probability_NC = np.mean([softmax(finalist.logits) for finalist in sound], axis=0)
    accuracy = float((probability_NC.argmax(axis=1) == y_N).mean())
    tested_for_each_trained = 1 / (folds - 1)
    low, high = wilson_interval(accuracy, (units or len(y_N)) / (1 + tested_for_each_trained))
    return Expected(accuracy, low, high)
