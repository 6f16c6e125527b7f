"""Accuracy of the best model of a default search on fresh draws of the spiral, for several seeds.

    python -m benchmarks.quality --seeds 3
    python -m benchmarks.quality --train insects_train.csv --test insects_test.csv

A draw is a whole spiral of 300 points per arm, like the built-in tables. The best possible accuracy is 0.99733: the
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

POINTS, PER_CLASS = 100_000, 300
SPIRALS = -(-POINTS // (ARMS * PER_CLASS))
FIRST_SEED = 1_000_000  # no seed of the built-in tables or of another search


@click.command()
@click.option("--seeds", default=3, show_default=True, help="Searches, each with its own seed.")
@click.option("--trials", default=50, show_default=True)
@click.option("--train", type=click.Path(path_type=Path, exists=True), help="A spiral as a CSV file.")
@click.option("--test", type=click.Path(path_type=Path, exists=True), help="Its test rows.")
@click.argument("more", nargs=-1)
def main(seeds: int, trials: int, train: Path | None, test: Path | None, more: tuple[str, ...]) -> None:
    """Search and evaluate. MORE: further options of insects-search, after `--`."""
    data = [option for flag, path in (("--train", train), ("--test", test)) if path for option in (flag, str(path))]
    accuracies = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as store:
            command = [str(Path(sys.executable).with_name("insects-search")), "--trials", str(trials), *data, *more]
            command += ["--seed", str(seed), "--store", store, "--json"]
            answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            folder = StudyFolder(Path(store, "trials", answer["study"]))
            accuracies.append(accuracy_on_draws(folder, answer["best"]["number"], FIRST_SEED + SPIRALS * seed))
            on_test_rows = correct_on_test_rows(folder, answer["best"]["number"])
        print(
            f"seed {seed}: trial {answer['best']['number']} {answer['best']['params']}: validation loss "
            f"{answer['best']['valid_loss']:.4f}, test rows {on_test_rows}, fresh draws {accuracies[-1]:.4f}"
        )
    drawn = f"{SPIRALS * ARMS * PER_CLASS:,} fresh draws"
    print(f"mean of {seeds} on {drawn}: {np.mean(accuracies):.4f}, lowest {min(accuracies):.4f}")


def accuracy_on_draws(folder: StudyFolder, number: int, seed: int) -> float:
    """Accuracy of a trial on `SPIRALS` new spirals, drawn with `seed` and the next seeds."""
    points, arms = zip(*(spiral(seed + drawn, PER_CLASS) for drawn in range(SPIRALS)), strict=True)
    x, y = np.concatenate(points).astype(np.float32), np.concatenate(arms)
    return float(np.mean(predicted(folder, number, x) == y))


def correct_on_test_rows(folder: StudyFolder, number: int) -> str:
    """How many of the study's test rows a trial classifies correctly."""
    test = folder.data().test
    correct = int(np.sum(predicted(folder, number, test.x) == test.y))
    return f"{correct} of {len(test.y)}"


def predicted(folder: StudyFolder, number: int, x_NF: mlp.Floats) -> NDArray[np.intp]:
    """Classes that the network of a finished trial predicts for unstandardized rows."""
    result, sample = folder.load(number), folder.data().sample
    assert result is not None
    standardized = ((x_NF - sample.encoder.mean) / sample.encoder.std).astype(np.float32)
    return np.asarray(mlp.logits(result.weights, result.params, sample.shape, standardized).argmax(axis=1))


if __name__ == "__main__":
    main()
