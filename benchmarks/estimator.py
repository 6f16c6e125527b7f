"""`insects.MLPClassifier` beside scikit-learn's, at the same settings: accuracy, and how many times as fast it fits.

    python -m benchmarks.estimator
    python -m benchmarks.estimator --splits 3 --tables iris,digits

Five tables, standardized, in stratified splits of 80 % and 20 %. Both get the same split, settings and seed, one after
the other and one thread each; the order alternates, so that a busy machine slows both alike. Times are CPU times of
`fit`, and the ratio is that of their sums. The accuracies are paired: theirs minus ours, with its 95 % interval.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import click
import numpy as np
import sklearn
from numpy.typing import NDArray
from scipy.stats import t
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier as SklearnMLP
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it ships no types

from benchmarks.engine_limit import processor_name
from insects import MLPClassifier
from insects.spiral import spiral

Rows = tuple[NDArray[Any], NDArray[Any]]

TABLES: dict[str, Callable[[], Rows]] = {
    "iris": lambda: load_iris(return_X_y=True),
    "wine": lambda: load_wine(return_X_y=True),
    "breast_cancer": lambda: load_breast_cancer(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "spiral": lambda: spiral(seed=1),
}

SETTINGS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "(64, 64), batch 32": {"hidden_layer_sizes": (64, 64), "batch_size": 32},
    "(64, 64), batch 32, early stopping": {"hidden_layer_sizes": (64, 64), "batch_size": 32, "early_stopping": True},
}


def fitted(kind: Callable[..., Any], settings: dict[str, Any], seed: int, x: Any, y: Any) -> tuple[Any, float]:
    """A fitted estimator, and the CPU seconds that its fit took."""
    estimator = kind(random_state=seed, **settings)
    started = time.process_time()
    estimator.fit(x, y)
    return estimator, time.process_time() - started


@click.command()
@click.option("--splits", default=10, show_default=True)
@click.option("--tables", default=",".join(TABLES), show_default=True)
def main(splits: int, tables: str) -> None:
    """Measure all settings on all tables."""
    print(f"{processor_name()}, scikit-learn {sklearn.__version__}, {splits} splits")
    print(f"{'':<50}{'accuracy %':>20}{'theirs - ours':>18}{'epochs':>15}{'times as fast':>15}")
    warnings.simplefilter("ignore", ConvergenceWarning)
    MLPClassifier(max_iter=1).fit([[0], [1]], [0, 1])  # compiles the kernel, once a machine
    ratios = []
    with threadpool_limits(1):
        for name in tables.split(","):
            x, y = TABLES[name]()
            for label, settings in SETTINGS.items():
                ratios.append(measure(name, label, settings, splits, x, y))
    print(f"geometric mean of the ratios: {np.exp(np.mean(np.log(ratios))):.1f}")


def measure(name: str, label: str, settings: dict[str, Any], splits: int, x: NDArray[Any], y: NDArray[Any]) -> float:
    """Print the line of one table and settings; return how many times as fast ours is."""
    kinds = MLPClassifier, SklearnMLP
    score_SK, epochs_SK, seconds_SK = np.empty((3, splits, 2))
    for split in range(splits):
        parts = train_test_split(x, y, test_size=0.2, stratify=y, random_state=split)
        scaler = StandardScaler().fit(parts[0])
        train_x, test_x = scaler.transform(parts[0]), scaler.transform(parts[1])
        for place in (0, 1) if split % 2 else (1, 0):
            estimator, seconds_SK[split, place] = fitted(kinds[place], settings, split, train_x, parts[2])
            score_SK[split, place] = estimator.score(test_x, parts[3])
            epochs_SK[split, place] = estimator.n_iter_
    ours, theirs = score_SK.mean(axis=0) * 100
    gain_S = (score_SK[:, 1] - score_SK[:, 0]) * 100
    spread = t.ppf(0.975, splits - 1) * gain_S.std(ddof=1) / np.sqrt(splits)
    epochs = " / ".join(f"{mean:.0f}" for mean in epochs_SK.mean(axis=0))
    ratio = float(seconds_SK[:, 1].sum() / seconds_SK[:, 0].sum())
    print(
        f"{name + ', ' + label:<50}{f'{ours:.2f} / {theirs:.2f}':>20}{f'{gain_S.mean():+.2f} +- {spread:.2f}':>18}"
        f"{epochs:>15}{ratio:>15.1f}",
        flush=True,
    )
    return ratio


if __name__ == "__main__":
    main()
