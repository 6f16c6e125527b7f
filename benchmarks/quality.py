"""Accuracy of the model that a default search registers, on fresh draws of the spiral: by tables, or by seeds.

    python -m benchmarks.quality --tables 10 --out figures.csv
    python -m benchmarks.quality --seeds 3
    python -m benchmarks.quality --train insects_train.csv --test insects_test.csv

`--tables` draws spirals of 1,200 rows, one search each; without it, each seed searches the built-in table, or that of
`--train`. A model is judged on 67 whole spirals of 300 points per arm, more than 100,000 points: the best possible
accuracy is 0.99733, since the five points at the origin are ambiguous. Each search is the command itself, with MLflow,
and the model is the program that it registers. The rivals are fitted to the same rows and judged on the same points.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.intervals import half_interval
from benchmarks.own_search import program_logits, registered_logits, run_command, shown_accuracy
from benchmarks.rivals import RIVALS
from benchmarks.spirals import FIRST_DRAW, draws, spirals_for, write_spiral
from insects.spiral import FEATURES, builtin_tables

OURS, GOOD, CHECKED_ROWS = "ours", 0.9955, 1000
SPIRALS = spirals_for(100_000)

Figure = tuple[int, str, float, float, float]
"""Number of the search, method, accuracy, the accuracy that the search says is to be expected, and seconds."""


@click.command()
@click.option("--tables", default=0, help="Fresh tables, each searched with its own seed, in place of --seeds.")
@click.option("--first-table", default=2000, show_default=True, help="The seed of the first of them.")
@click.option("--seeds", default=3, show_default=True, help="Searches of one table, each with its own seed.")
@click.option("--trials", type=int, help="Trials of a search.  [default: the command's]")
@click.option("--train", type=click.Path(path_type=Path, exists=True), help="A spiral as a CSV file.")
@click.option("--test", type=click.Path(path_type=Path, exists=True), help="Its test rows.")
@click.option("--rivals", default="kNN,SVC under grid search", show_default=True, help="'' for none.")
@click.option("--out", type=click.Path(path_type=Path), help="Write every figure there, as CSV.")
@click.argument("more", nargs=-1)
def main(
    tables: int,
    first_table: int,
    seeds: int,
    trials: int | None,
    train: Path | None,
    test: Path | None,
    rivals: str,
    out: Path | None,
    more: tuple[str, ...],
) -> None:
    """Search and evaluate. MORE: further options of insects-search, after `--`."""
    names = [name for name in rivals.split(",") if name]
    options = [*(["--trials", str(trials)] if trials else []), *more]
    of_file = [option for flag, path in (("--train", train), ("--test", test)) if path for option in (flag, str(path))]
    found: list[Figure] = []
    for number in range(tables or seeds):
        with tempfile.TemporaryDirectory() as place:
            of_data = write_spiral(Path(place), first_table + number) if tables else of_file
            searched = search(number, [*of_data, "--seed", str(number), *options], Path(place, "store"))
            found.append(searched)
            if tables or number == 0:
                rows = rows_of(Path(of_data[of_data.index("--train") + 1]) if "--train" in of_data else None)
                found += [rival(name, number, rows) for name in names]
            if out is not None:
                as_frame(found).to_csv(out, index=False)
    print_summary(as_frame(found), [OURS, *names])


def search(number: int, options: list[str], store: Path) -> Figure:
    """Run a search and judge the program that it has registered."""
    folder, answer, seconds = run_command(options, store)

    (x, y), test = draws(FIRST_DRAW + SPIRALS * number, SPIRALS), folder.data().test
    logits = program_logits(store, answer, np.concatenate([x, test.x]))
    followed = registered_logits(folder, answer, x[:CHECKED_ROWS])
    assert np.allclose(logits[:CHECKED_ROWS], followed, 1e-3, 1e-3), "registered_logits is not what is registered"
    right = logits.argmax(axis=1) == np.concatenate([y, test.y])
    accuracy, correct = float(right[: len(y)].mean()), int(right[len(y) :].sum())
    best, shown = answer["best"], shown_accuracy(answer)
    print(
        f"search {number}: trial {best['number']} {best['params']}: validation loss {best['valid_loss']:.4f}, "
        f"test rows {correct} of {len(test.y)}, fresh draws {accuracy:.5f}, shown {shown:.5f}, {seconds:.1f} s",
        flush=True,
    )
    return number, OURS, accuracy, shown, seconds


def rows_of(train: Path | None) -> pd.DataFrame:
    """The rows of a CSV file, or those of the built-in table."""
    if train is not None:
        return pd.read_csv(train)
    table = builtin_tables()[0]
    return pd.DataFrame(table.x, columns=list(table.features)).assign(labels=table.y)


def rival(name: str, number: int, rows: pd.DataFrame) -> Figure:
    """Fit a rival to the rows of a search and judge it on the same points."""
    started = time.perf_counter()
    model = RIVALS[name](number).fit(rows[list(FEATURES)], rows["labels"])
    seconds = time.perf_counter() - started

    x, y = draws(FIRST_DRAW + SPIRALS * number, SPIRALS)
    accuracy = float(np.mean(model.predict(pd.DataFrame(x, columns=list(FEATURES))) == y))
    print(f"  {name}: fresh draws {accuracy:.5f}, {seconds:.1f} s", flush=True)
    return number, name, accuracy, float("nan"), seconds


def as_frame(found: list[Figure]) -> pd.DataFrame:
    """A frame of figures."""
    return pd.DataFrame(found, columns=["search", "method", "accuracy", "shown", "seconds"])


def print_summary(frame: pd.DataFrame, methods: list[str]) -> None:
    """Print accuracy and seconds of each method, and paired differences where a rival has several tables."""
    accuracies = frame.pivot(index="search", columns="method", values="accuracy")
    print(f"\n{'':<24}{'mean':>9}{'lowest':>9}  at least {GOOD}{'median s':>10}   {OURS} minus it")
    for method in methods:
        of_method, seconds = accuracies[method].dropna(), frame[frame.method == method].seconds.median()
        difference = (accuracies[OURS] - accuracies[method]).dropna()
        paired = f"{difference.mean():+.5f} ± {half_interval(difference):.5f}" if method != OURS else ""
        good = f"{int((of_method >= GOOD).sum())} of {len(of_method)}"
        print(f"{method:<24}{of_method.mean():>9.5f}{of_method.min():>9.5f}{good:>17}{seconds:>10.1f}   {paired}")
    ours = frame[frame.method == OURS]
    difference = (ours.shown - ours.accuracy) * 100
    print(f"shown minus true: {difference.mean():+.3f} ± {half_interval(difference):.3f} points")


if __name__ == "__main__":
    main()
