"""Sample images of each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insects.images.annotations import read_annotations
from insects.images.features import FeatureRecipe, load_images
from insects.images.samples import choose_samples, shown_pixels


def test_samples_show_different_specimens_at_the_requested_size(demo: tuple[Path, Path], tmp_path: Path) -> None:
    images = load_images(read_annotations(*demo, group="sample"), FeatureRecipe(8), tmp_path / "cache")
    chosen = choose_samples(images, per_class=5)
    assert np.bincount(images.table.y[chosen]).tolist() == [5, 5, 5, 5]
    assert images.annotations.groups is not None
    assert len({images.annotations.groups[row] for row in chosen}) == 20
    assert shown_pixels(images, chosen[:3], size=40).shape == (3, 3, 40, 40)
