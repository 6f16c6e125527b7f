"""Intervals of means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats


def half_interval(values: pd.Series | Sequence[float], shared: float = 0.0) -> float:
    """Half of the 95 % interval of a mean, after Student; NaN of fewer than two values.

    Args:
        values: Independent values.
        shared: Test rows over training rows where the values are those of random splits of the same rows, which
            are not independent: Nadeau and Bengio (2003), doi:10.1023/A:1024068626366.
    """
    array, count = np.asarray(values, float), len(values)
    if count < 2:
        return float("nan")
    return float(stats.t.ppf(0.975, count - 1) * array.std(ddof=1) * np.sqrt(1 / count + shared))
