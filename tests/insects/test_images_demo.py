"""The drawn set: the same for a seed, and a random split makes a model look better on it than it is."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from insects.images.annotations import Annotations, read_annotations
from insects.images.demo import FRAMES, HEIGHT, SPECIES, SPECIMENS, WIDTH, make_demo
from insects.images.features import FeatureRecipe, load_images
from insects.images.samples import choose_samples, shown_pixels
from insects.images.splits import split_images
from insects.mlp import logits
from insects.params import Recipe, TrialParams
from insects.trial import TrialTask, run_trial


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_demo(tmp_path_factory.mktemp("demo"), seed=0)


def digest(folder: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.iterdir()))).hexdigest()


def test_demo_has_its_images_listed_and_is_the_same_for_a_seed(demo: tuple[Path, Path], tmp_path: Path) -> None:
    annotations, images = demo
    with open(annotations, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(list(images.iterdir())) == len(SPECIES) * SPECIMENS * FRAMES == 288
    assert len({row["sample"] for row in rows}) == len(SPECIES) * SPECIMENS
    with Image.open(images / rows[0]["filename"]) as image:
        assert image.size == (WIDTH, HEIGHT)
    assert digest(make_demo(tmp_path / "same", seed=0)[1]) == digest(images)
    assert digest(make_demo(tmp_path / "other", seed=1)[1]) != digest(images)


@pytest.mark.parametrize("name", ["insects.csv", "0017_1_003.jpg"])
def test_interrupted_drawing_leaves_no_list_and_no_half_image(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        make_demo(tmp_path, seed=0)
    assert not (tmp_path / "insects.csv").exists()
    assert not (tmp_path / "images" / name).exists()
    monkeypatch.undo()
    annotations, images = make_demo(tmp_path, seed=0)
    assert len(annotations.read_text().splitlines()) == 1 + len(list(images.glob("*.jpg"))) == 289
    assert not list(tmp_path.rglob("*.part"))


def accuracy_of(annotations: Annotations, cache: Path) -> float:
    result = split_images(load_images(annotations, FeatureRecipe(), cache), test_fraction=0.2)
    params, splits = TrialParams(depth=2, width=64, lr=1e-3, batch_size=16), result.splits
    trial = run_trial(TrialTask(0, params, Recipe(20), 0, np.full(20, np.inf), "compiled", "cpu"), splits)
    standardized = (result.held_out.x - splits.mean) / splits.std
    predicted = logits(trial.weights, params, splits.shape, standardized).argmax(axis=1)
    return float(np.mean(predicted == result.held_out.y))


def test_random_split_leaks_specimens_and_specimen_split_still_beats_chance(
    demo: tuple[Path, Path], tmp_path: Path
) -> None:
    together, whole = (
        accuracy_of(read_annotations(*demo, group=group), tmp_path / "cache") for group in (None, "sample")
    )
    assert together > 0.97
    assert 0.5 < whole < 0.95  # chance is 0.25


def test_samples_are_of_different_specimens_and_read_at_the_size_asked(demo: tuple[Path, Path], tmp_path: Path) -> None:
    images = load_images(read_annotations(*demo, group="sample"), FeatureRecipe(8), tmp_path / "cache")
    chosen = choose_samples(images, per_class=5)
    assert np.bincount(images.table.y[chosen]).tolist() == [5, 5, 5, 5]
    assert images.annotations.groups is not None
    assert len({images.annotations.groups[row] for row in chosen}) == 20
    assert shown_pixels(images, chosen[:3], size=40).shape == (3, 3, 40, 40)
