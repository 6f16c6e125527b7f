"""Annotated images -> what a search trains on, with a word to the user about what was left out and how it was split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insects.errors import StoreError
from insects.images.annotations import read_annotations
from insects.images.describe import ImageDescription, describe_images
from insects.images.features import FeatureRecipe, ImageSet, load_images
from insects.images.samples import choose_samples
from insects.images.splits import ImageSplits, split_images
from search.store.image_manifest import ImageRecord
from search.store.serialization import SAMPLE_ROWS
from search.study.data import DataRequest, ImageRequest, SearchData
from search.system.terminal import ReadingProgress, say

DEMO_TARGET, DEMO_GROUP = "species", "sample"


def load_image_data(request: DataRequest, asked: ImageRequest, cache: Path) -> SearchData:
    """Read images, or their features where the cache has them, and split them.

    Raises: DataError: they are not fit for it. StoreError: the cache cannot be written.
    """
    images = read_image_set(asked, request.target, cache, asked.skip_bad)
    if images.skipped:
        say(f"Bad images left out: {len(images.skipped)}; the first: {images.skipped[0]}")
    parts = split_images(images, test_fraction=request.test_fraction, seed=request.split_seed)
    for note in parts.notes:
        say(note[0].upper() + note[1:])
    description = describe_images(images, *columns_of(asked, request.target))
    record = _record(images, parts, asked.recipe, description)
    return SearchData(parts.splits, parts.held_out, images.table.source, record)


def columns_of(asked: ImageRequest, target: str) -> tuple[str, str | None]:
    """The label and the group column; the drawn set has its own."""
    return (DEMO_TARGET, DEMO_GROUP) if asked.csv is None else (target, asked.group)


def read_image_set(asked: ImageRequest, target: str, cache: Path, skip_bad: bool) -> ImageSet:
    """Annotated images, with a bar while they are read.

    Raises: DataError: they cannot be read. StoreError: the cache cannot be written.
    """
    if asked.csv is None:
        csv, folder = _demo(cache / "demo")
    else:
        assert asked.folder is not None, "the command asks for it"
        csv, folder = asked.csv, asked.folder
    annotations = read_annotations(csv, folder, *columns_of(asked, target), asked.filename)
    with ReadingProgress() as progress:
        return load_images(annotations, asked.recipe, cache, skip_bad=skip_bad, on_image=progress.show)


def _demo(folder: Path) -> tuple[Path, Path]:
    """The drawn set, drawn where it is not whole: its CSV is written last."""
    csv = folder / "insects.csv"
    if csv.exists():
        return csv, folder / "images"
    from insects.images.demo import make_demo

    try:
        return make_demo(folder)
    except OSError as error:
        raise StoreError(f"cannot draw images into {folder}: {error.strerror}; choose another --store") from error


def _record(images: ImageSet, parts: ImageSplits, recipe: FeatureRecipe, description: ImageDescription) -> ImageRecord:
    files, groups, y = images.annotations.files, images.annotations.groups, images.table.y
    digest = None
    if recipe.backbone is not None:
        from insects.images.backbone import weights_digest

        digest = weights_digest(recipe.backbone, recipe.weights)
    return ImageRecord(
        size=recipe.size,
        backbone=recipe.backbone,
        weights=None if recipe.weights is None else str(recipe.weights.resolve()),
        weights_digest=digest,
        folder=str(images.annotations.folder.resolve()),
        counts=np.bincount(y, minlength=len(images.table.classes)).tolist(),
        samples=[(files[row], int(y[row])) for row in choose_samples(images)],
        valid=[files[row] for row in parts.valid[:SAMPLE_ROWS]],
        test=[(files[row], images.digests[row]) for row in parts.test],
        test_groups=None if groups is None else [groups[row] for row in parts.test],
        description={"text": description.text(), "content": description.as_dict()},
    )
