"""How good the winner of a default search is: its accuracy on fresh draws of the spiral, for several seeds.

    python -m benchmarks.quality --seeds 3
    python -m benchmarks.quality --train insects_train.csv --test insects_test.csv

A draw is a whole spiral of 300 points an arm, as the tables are. The best possible accuracy on them is 0.99733: the
five points at the origin are ambiguous.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from insects import mlp
from insects.spiral import ARMS, spiral
from search.store.study_folder import StudyFolder

DRAWS, PER_CLASS = 100_000, 300
SPIRALS = -(-DRAWS // (ARMS * PER_CLASS))
FIRST_SEED = 1_000_000  # far from the built-in table's


@click.command()
@click.option("--seeds", default=3, show_default=True, help="Searches, each with a seed of its own.")
@click.option("--trials", default=50, show_default=True)
@click.option("--train", type=click.Path(path_type=Path, exists=True), help="A spiral as a CSV file.")
@click.option("--test", type=click.Path(path_type=Path, exists=True), help="Its held-out rows.")
@click.argument("more", nargs=-1)
def main(seeds: int, trials: int, train: Path | None, test: Path | None, more: tuple[str, ...]) -> None:
    """MORE are further options of insects-search, after `--`."""
    data = [option for flag, path in (("--train", train), ("--test", test)) if path for option in (flag, str(path))]
    accuracies = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as store:
            command = [str(Path(sys.executable).with_name("insects-search")), "--trials", str(trials), *data, *more]
            command += ["--seed", str(seed), "--store", store, "--json"]
            answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            folder = StudyFolder(Path(store, "trials", answer["study"]))
            accuracies.append(accuracy_on_draws(folder, answer["best"]["number"], FIRST_SEED + SPIRALS * seed))
            held_out = accuracy_on_held_out(folder, answer["best"]["number"])
        print(
            f"seed {seed}: trial {answer['best']['number']} {answer['best']['params']}: validation loss "
            f"{answer['best']['valid_loss']:.4f}, held-out rows {held_out}, fresh draws {accuracies[-1]:.4f}"
        )
    drawn = f"{SPIRALS * ARMS * PER_CLASS:,} fresh draws"
    print(f"mean of {seeds} on {drawn}: {np.mean(accuracies):.4f}, lowest {min(accuracies):.4f}")


def accuracy_on_draws(folder: StudyFolder, number: int, seed: int) -> float:
    """Accuracy of a trial's network on `SPIRALS` new spirals, the first of them drawn with `seed`."""
    points, arms = zip(*(spiral(seed + drawn, PER_CLASS) for drawn in range(SPIRALS)), strict=True)
    x, y = np.concatenate(points).astype(np.float32), np.concatenate(arms)
    return float(np.mean(predicted(folder, number, x) == y))


def accuracy_on_held_out(folder: StudyFolder, number: int) -> str:
    """Right of all, on the rows the search held out."""
    rows = folder.data().held_out
    right = int(np.sum(predicted(folder, number, rows.x) == rows.y))
    return f"{right} of {len(rows.y)}"


def predicted(folder: StudyFolder, number: int, x_NF: mlp.Floats) -> NDArray[np.intp]:
    """Classes of raw rows, by the network of a finished trial."""
    result, sample = folder.load(number), folder.data().sample
    assert result is not None
    standardized = ((x_NF - sample.mean) / sample.std).astype(np.float32)
    return np.asarray(mlp.logits(result.weights, result.params, sample.shape, standardized).argmax(axis=1))


if __name__ == "__main__":
    main()
