"""The accuracy to expect of a model that was chosen by the rows on which it is judged.

Shapes: M finalists, N rows that were held out once, B bootstrap samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from insects.evaluation import wilson_interval
from insects.final import Finalist

MOST_SAMPLES, FEWEST_SAMPLES = 500, 20
_NUMBERS_AT_ONCE, _NUMBERS = 1 << 20, 1 << 25  # counts of rows that are drawn at a time, and in all


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
    """Estimate the accuracy of the chosen finalist, corrected for the choice.

    The chosen finalist's own accuracy out of fold is too good in the mean, since luck took part in the choice. So the
    choice is repeated on bootstrap samples of the rows and each time judged by the rows that are not in the sample:
    BBC-CV, Tsamardinos, Greasidou and Borboudakis, 2018, doi:10.1007/s10994-018-5714-4. A choice by ROC AUC, which is
    no mean over rows, is repeated by the loss. The interval is Wilson's.

    Args:
        finalists: The finalists; one at least is sound.
        units: Number of independent units, where several rows belong to one; None: every row is independent.

    Returns:
        The estimate.
    """
    sound = [finalist for finalist in finalists if finalist.is_sound]
    y_N = sound[0].y
    hit_MN = np.stack([finalist.logits.argmax(axis=1) == y_N for finalist in sound])
    cost_MN = np.stack([_costs(finalist, hit_N) for finalist, hit_N in zip(sound, hit_MN, strict=True)])
    accuracy = _out_of_sample(cost_MN, hit_MN) if len(sound) > 1 else float(hit_MN.mean())
    low, high = wilson_interval(accuracy, units or len(y_N))
    return Expected(accuracy, low, high)


def _costs(finalist: Finalist, hit_N: NDArray[np.bool_]) -> NDArray[np.float64]:
    """What each row adds to the objective."""
    if finalist.metric == "accuracy":
        return (~hit_N).astype(np.float64)
    if finalist.metric == "balanced-accuracy":
        y_N = finalist.y
        return ~hit_N / np.bincount(y_N)[y_N]
    return finalist.row_losses


def _out_of_sample(cost_MN: NDArray[np.float64], hit_MN: NDArray[np.bool_]) -> float:
    """Mean over bootstrap samples of the accuracy of the sample's best finalist on the rows outside of the sample."""
    rows = cost_MN.shape[1]
    generator = np.random.Generator(np.random.PCG64(0))
    samples = min(MOST_SAMPLES, max(FEWEST_SAMPLES, _NUMBERS // rows))  # the more rows, the less luck there is
    hits = left_out = 0
    at_once = max(1, _NUMBERS_AT_ONCE // rows)
    for first in range(0, samples, at_once):
        # How often a row is in a sample is binomial, with a mean of 1; with many rows that is Poisson's distribution.
        count_BN = generator.poisson(1, (min(at_once, samples - first), rows))
        chosen_B = (count_BN @ cost_MN.T).argmin(axis=1)
        outside_BN = count_BN == 0
        hits += int((hit_MN[chosen_B] & outside_BN).sum())
        left_out += int(outside_BN.sum())
    return hits / left_out
