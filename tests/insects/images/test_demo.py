"""The demo images: the same for a seed, complete or absent, and easier if specimens are not kept whole."""

from __future__ import annotations

import csv
import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from insects.images import demo as demo_module
from insects.images.annotations import Annotations, read_annotations
from insects.images.demo import FRAMES, HEIGHT, SPECIES, SPECIMENS, WIDTH, make_demo
from insects.images.features import FeatureRecipe, load_images
from insects.images.splits import split_images
from insects.mlp import logits
from insects.params import Recipe, TrialParams
from insects.trial import TrialTask, run_trial


def digest(folder: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.iterdir()))).hexdigest()


def test_annotations_list_every_image_of_the_demo(demo: tuple[Path, Path]) -> None:
    annotations, images = demo
    with open(annotations, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(list(images.iterdir())) == len(SPECIES) * SPECIMENS * FRAMES == 288
    assert len({row["sample"] for row in rows}) == len(SPECIES) * SPECIMENS
    with Image.open(images / rows[0]["filename"]) as image:
        assert image.size == (WIDTH, HEIGHT)


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> int:
    """Makes the demo set smaller, to draw it several times; the number of its images."""
    monkeypatch.setattr(demo_module, "SPECIMENS", 2)
    monkeypatch.setattr(demo_module, "FRAMES", 2)
    return 2 * 2 * len(SPECIES)


def test_demo_images_follow_from_the_seed(small_demo: int, tmp_path: Path) -> None:
    first, again, other = (make_demo(tmp_path / name, seed)[1] for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert len(list(first.iterdir())) == small_demo
    assert digest(first) == digest(again) != digest(other)


@pytest.mark.parametrize("name", ["insects.csv", "0005_1_002.jpg"])
def test_interrupted_drawing_leaves_no_list_and_no_half_image(
    name: str, small_demo: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space"):
            make_demo(tmp_path, seed=0)
    assert not (tmp_path / "insects.csv").exists()
    assert not (tmp_path / "images" / name).exists()
    annotations, images = make_demo(tmp_path, seed=0)
    assert len(annotations.read_text().splitlines()) == 1 + len(list(images.glob("*.jpg"))) == 1 + small_demo
    assert not list(tmp_path.rglob("*.part"))


def accuracy_of(annotations: Annotations, cache: Path) -> float:
    result = split_images(load_images(annotations, FeatureRecipe(), cache), test_fraction=0.2)
    params, splits = TrialParams(depth=2, width=64, lr=1e-3, batch_size=16), result.splits
    trial = run_trial(TrialTask(0, params, Recipe(20), 0, np.full(20, np.inf), "compiled", "cpu"), splits)
    standardized = (result.test_table.x - splits.encoder.mean) / splits.encoder.std
    predicted = logits(trial.weights, params, splits.shape, standardized).argmax(axis=1)
    return float(np.mean(predicted == result.test_table.y))


def test_random_split_is_nearly_perfect_and_specimen_split_beats_chance(
    demo: tuple[Path, Path], tmp_path: Path
) -> None:
    together, whole = (
        accuracy_of(read_annotations(*demo, group=group), tmp_path / "cache") for group in (None, "sample")
    )
    assert together > 0.97
    assert 0.5 < whole < 0.95  # chance is 0.25
