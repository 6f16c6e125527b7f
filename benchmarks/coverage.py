"""How often the stated interval of the expected accuracy holds the truth, over simulated searches on small tables.

    python -m benchmarks.coverage --searches 200 --out figures.csv

Each search has a table of its own, of 150 to 600 rows and two to five classes, from easy to hard. The truth is the
accuracy of the registered networks on 20,000 further rows of the same distribution.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
import numpy as np
import pandas as pd
from sklearn.datasets import make_classification

from benchmarks.own_search import predicted, run_here, warm_up
from benchmarks.tabular import one_thread_each
from insects.evaluation import wilson_interval

TRUTH_ROWS = 20_000

Row = tuple[int, int, int, float, float, float, float, float]
"""Number of the search, rows, classes, best trial's accuracy, expected accuracy, its interval, and the truth."""


@click.command()
@click.option("--searches", default=200, show_default=True)
@click.option("--trials", default=10, show_default=True, help="Trials of a search.")
@click.option("--jobs", default=1, show_default=True, help="Searches side by side.")
@click.option("--out", type=click.Path(path_type=Path), help="Write every figure there, as CSV.")
@click.argument("more", nargs=-1)
def main(searches: int, trials: int, jobs: int, out: Path | None, more: tuple[str, ...]) -> None:
    """Search and compare. MORE: further options of insects-search, after `--`."""
    one_thread_each()
    options = ["--trials", str(trials), "--workers", "1", *more]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), warm_up) as pool:
        rows = list(pool.map(one_search, range(searches), [options] * searches))
    found = pd.DataFrame(rows, columns=["search", "rows", "classes", "best", "expected", "low", "high", "truth"])
    if out is not None:
        found.to_csv(out, index=False)
    holds = int(((found.low <= found.truth) & (found.truth <= found.high)).sum())
    low, high = wilson_interval(holds / searches, searches)
    print(f"the interval holds the truth in {holds} of {searches} searches: {holds / searches:.1%}", end=" ")
    print(f"({low:.1%} to {high:.1%})")
    above, below = (found.truth > found.high).mean(), (found.truth < found.low).mean()
    print(f"truth above the interval {above:.1%}, below {below:.1%}")
    for name in ("best", "expected"):
        points = 100 * (found[name] - found.truth).to_numpy(float)
        print(f"{name} minus truth: {points.mean():+.2f} points ± {1.96 * points.std(ddof=1) / len(points) ** 0.5:.2f}")
    print(f"width of the interval: {100 * (found.high - found.low).mean():.1f} points")


def one_search(number: int, options: list[str]) -> Row:
    """Search on a table of its own, and compare with the truth."""
    generator = np.random.default_rng(number)
    rows, classes = int(generator.integers(150, 601)), int(generator.integers(2, 6))
    features = int(generator.integers(4, 21))
    x, y = make_classification(
        rows + TRUTH_ROWS,
        n_features=features,
        n_informative=4,
        n_redundant=0,
        n_classes=classes,
        n_clusters_per_class=2,
        class_sep=generator.uniform(0.6, 2.5),
        flip_y=generator.uniform(0, 0.1),
        random_state=number,
    )
    names = [f"x{column}" for column in range(features)]
    with tempfile.TemporaryDirectory() as place:
        paths = Path(place, "train.csv"), Path(place, "test.csv")
        for path, part in zip(paths, (slice(0, rows), slice(rows, None)), strict=True):
            pd.DataFrame(x[part], columns=names).assign(label=y[part]).to_csv(path, index=False)
        of_data = ["--train", str(paths[0]), "--test", str(paths[1]), "--target", "label", "--seed", str(number)]
        folder, answer = run_here([*of_data, *options], Path(place, "store"))
        test = folder.data().test
        truth = float(np.mean(predicted(folder, answer, test.x) == test.y))
    final = answer["final"]
    best, expected = answer["best"]["valid_accuracy"], final["expected_accuracy"]
    return number, rows, classes, best, expected, *final["interval"], truth


if __name__ == "__main__":
    main()
