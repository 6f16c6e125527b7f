"""Made-up trials for the tests of figures that compare trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from insects.objective import history_columns, metric_column
from insects.params import Metric, TrialParams
from insects.trial import TrialResult, TrialState

BOUNDS = {"depth": (1, 4), "width": (16, 256), "lr": (1e-4, 1e-1), "batch_size": (4, 8, 16, 32, 64, 128)}


NAMES = ["lr", "width", "depth", "batch_size"]


def a_trial(
    number: int, params: TrialParams, loss: float, state: TrialState = "complete", metric: Metric = "loss"
) -> TrialResult:
    columns = history_columns(metric)
    history = np.full((0 if state == "failed" else 2, len(columns)), 0.5)
    history[:, columns.index(metric_column(metric))] = loss if metric == "loss" else 1 - loss
    best_epoch = 1 if len(history) and np.isfinite(loss) else 0
    return TrialResult(number, params, state, "", history, best_epoch, np.empty(0, np.float32), 1.7e9, 0.1, metric)


def trials(count: int, fixed: Sequence[str] = (), metric: Metric = "loss") -> list[TrialResult]:
    """Trials whose loss, or 1 minus the metric, is lowest at a learning rate of 0.01."""
    generator = np.random.default_rng(count)
    found = []
    for number in range(count):
        params = {
            "depth": int(generator.integers(1, 5)),
            "width": int(generator.integers(16, 257)),
            "lr": float(10 ** generator.uniform(-4, -1)),
            "batch_size": int(2 ** generator.integers(2, 8)),
        }
        params |= {name: {"depth": 2, "width": 64, "lr": 0.01, "batch_size": 32}[name] for name in fixed}
        chosen = TrialParams(**params)  # type: ignore[arg-type]
        found.append(a_trial(number, chosen, 0.05 * float(np.exp(abs(np.log10(chosen.lr) + 2))), metric=metric))
    return found


def odd(kind: str) -> list[TrialResult]:
    one, other = (TrialParams(depth, 64, 0.01 * depth, 32) for depth in (1, 2))
    many = trials(12)
    return {
        "one": [a_trial(0, one, 0.5)],
        "two": [a_trial(0, one, 0.5), a_trial(1, other, 0.4)],
        "equal": [a_trial(0, one, 0.5), a_trial(1, other, 0.5)],
        "all failed": [a_trial(0, one, 0.5, "failed"), a_trial(1, other, 0.5, "failed")],
        "all diverged": [a_trial(0, one, np.inf), a_trial(1, other, np.inf)],
        "perfect": [a_trial(0, one, 0.0), a_trial(1, other, 0.1)],
        "huge": [*many, a_trial(12, one, 1e30)],
        "mixed": [*many, a_trial(12, one, np.inf), a_trial(13, one, 0.7, "pruned"), a_trial(14, one, 1, "failed")],
    }[kind]
