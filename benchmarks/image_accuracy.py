"""Accuracy on images: the leak of a random split, the default image size, and a real set compared with scikit-learn.

    python -m benchmarks.image_accuracy
    pip download --no-deps elpv-dataset && python -m benchmarks.image_accuracy --wheel elpv_dataset-*.whl

The real set is ELPV: 2,624 grey photographs of solar cells, 300 x 300 pixels (Buerhop-Lutz et al., 2018), extracted
from the wheel. The classes are the kind of cell and whether it is more likely defective than functional.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it ships no types

from insects.images.annotations import Annotations, read_annotations
from insects.images.demo import make_demo
from insects.images.features import FeatureRecipe, load_images
from insects.images.splits import ImageSplits, split_images
from insects.mlp import logits
from insects.params import Recipe, TrialParams
from insects.trial import TrialTask, run_trial

PARAMS = (
    TrialParams(depth=2, width=64, lr=1e-3, batch_size=32),
    TrialParams(depth=1, width=256, lr=3e-4, batch_size=32),
    TrialParams(depth=2, width=128, lr=3e-4, batch_size=32),
)
EPOCHS = 20


def ours(split: ImageSplits, params: TrialParams, seed: int = 0) -> tuple[float, float]:
    """Accuracy of one trial of the compiled engine on validation and on test images."""
    task = TrialTask(0, params, Recipe(EPOCHS), seed, np.full(EPOCHS, np.inf), "compiled", "cpu")
    trial, splits = run_trial(task, split.splits), split.splits
    test_x = (split.test_table.x - splits.encoder.mean) / splits.encoder.std
    predicted = logits(trial.weights, params, splits.shape, test_x).argmax(axis=1)
    return trial.valid_accuracy, float(np.mean(predicted == split.test_table.y))


def theirs(split: ImageSplits, params: TrialParams, seed: int = 0) -> tuple[float, float]:
    """Accuracy of scikit-learn's network on the same pixels, after its last epoch, as it keeps no best epoch."""
    splits = split.splits
    network = MLPClassifier(
        (params.width,) * params.depth,
        learning_rate_init=params.lr,
        batch_size=params.batch_size,
        max_iter=EPOCHS,
        random_state=seed,
    )
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(splits.train_x, splits.train_y)
    test_x = (split.test_table.x - splits.encoder.mean) / splits.encoder.std
    return network.score(splits.valid_x, splits.valid_y), network.score(test_x, split.test_table.y)


def leak(folder: Path, sets: int) -> None:
    """Test accuracy on drawn insects by image size, with a random split and with specimens kept whole."""
    demos = [make_demo(folder / str(seed), seed) for seed in range(sets)]
    print(f"test accuracy on {sets} drawn sets, chance 0.25\n size  random  specimens whole")
    for size in (16, 24, 32, 48, 64):
        found = [
            [
                ours(
                    split_images(load_images(annotations, FeatureRecipe(size), folder / "cache"), test_fraction=0.2), p
                )[1]
                for p in PARAMS[:1]
                for annotations in (read_annotations(*demo), read_annotations(*demo, group="sample"))
            ]
            for demo in demos
        ]
        random, whole = np.mean(found, axis=0)
        print(f"{size:5} {random:7.3f} {whole:16.3f}")


def write_cells(wheel: Path, folder: Path) -> Annotations:
    """Extract ELPV's images and write an annotations CSV."""
    images = folder / "cells"
    images.mkdir()
    rows = []
    with zipfile.ZipFile(wheel) as archive:
        for line in archive.read("elpv_dataset/data/labels.csv").decode().splitlines():
            path, probability, kind = line.split()
            state = "defective" if float(probability) > 0.5 else "functional"
            rows.append((Path(path).name, f"{kind} {state}"))
            (images / Path(path).name).write_bytes(archive.read(f"elpv_dataset/data/{path}"))
    with open(folder / "cells.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("filename", "state"), *rows])
    return read_annotations(folder / "cells.csv", images, target="state")


def real(wheel: Path, folder: Path, seeds: int) -> None:
    """Accuracy on the solar cells of both networks."""
    split = split_images(load_images(write_cells(wheel, folder), FeatureRecipe(), folder / "cache"))
    counts = len(split.train), len(split.valid), len(split.test)
    common = np.bincount(split.test_table.y).max() / counts[2]
    print(f"solar cells: {counts} images in training, validation and test; most frequent class {common:.3f}")
    print("depth width      lr   engine        validation  test   seconds")
    for params in PARAMS:
        for name, run in (("insects", ours), ("scikit-learn", theirs)):
            started = time.perf_counter()
            valid, test = np.mean([run(split, params, seed) for seed in range(seeds)], axis=0)
            taken = (time.perf_counter() - started) / seeds
            print(
                f"{params.depth:5} {params.width:5} {params.lr:7g}   {name:12} {valid:11.3f} {test:5.3f} {taken:9.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sets", type=int, default=6)
    parser.add_argument("--wheel", type=Path, help="the downloaded elpv_dataset-*.whl")
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        if arguments.wheel is None:
            leak(Path(folder), arguments.sets)
        else:
            real(arguments.wheel, Path(folder), arguments.seeds)


if __name__ == "__main__":
    main()
