"""Memory footprint of images: a set that does not fit is refused before it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from insects import memory
from insects.errors import DataError
from insects.images.annotations import read_annotations
from insects.images.features import FeatureRecipe, load_images
from tests.support.image_cases import load, make_set


def test_images_that_do_not_fit_are_refused_before_one_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = make_set(tmp_path)
    needed = 10 * 4 * 3 * 8**2  # bytes per number, images, numbers per image
    monkeypatch.setattr(memory, "available", lambda: needed)
    assert len(load(files, tmp_path).table.y) == 4
    monkeypatch.setattr(memory, "available", lambda: 100_000_000)
    monkeypatch.setattr("insects.images.features.read_files", None)
    with pytest.raises(DataError) as raised:
        load_images(read_annotations(*files), FeatureRecipe(1024), tmp_path / "cache")
    assert str(raised.value) == (
        "4 images of 1024 by 1024 pixels must fit into memory: they take about 0.1 GB, 0.1 GB are free; "
        "choose a smaller image size"
    )
    assert raised.value.parameter == "image_size"
