"""Annotated images -> what a search trains on, with a word to the user about what was left out and how it was split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from insects.errors import StoreError
from insects.images.annotations import read_annotations
from insects.images.features import FeatureRecipe, ImageSet, load_images
from insects.images.samples import choose_samples
from insects.images.splits import ImageSplits, split_images
from search.data_request import DataRequest, ImageRequest, SearchData
from search.display import ReadingProgress, say
from search.image_record import ImageRecord
from search.results import SAMPLE_ROWS

DEMO_COLUMNS = {"target": "species", "group": "sample"}


def load_image_data(request: DataRequest, asked: ImageRequest, cache: Path) -> SearchData:
    """Read images, or their features where the cache has them, and split them.

    Raises: DataError: they are not fit for it. StoreError: the cache cannot be written.
    """
    if asked.csv is None:
        annotations = read_annotations(*_demo(cache / "demo"), **DEMO_COLUMNS)
    else:
        assert asked.folder is not None, "the command asks for it"
        annotations = read_annotations(asked.csv, asked.folder, request.target, asked.group, asked.filename)
    with ReadingProgress() as progress:
        images = load_images(annotations, asked.recipe, cache, skip_bad=asked.skip_bad, on_image=progress.show)
    if images.skipped:
        say(f"Bad images left out: {len(images.skipped)}; the first: {images.skipped[0]}")
    parts = split_images(images, test_fraction=request.test_fraction, seed=request.split_seed)
    for note in parts.notes:
        say(note[0].upper() + note[1:])
    return SearchData(parts.splits, parts.held_out, images.table.source, _record(images, parts, asked.recipe))


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


def _record(images: ImageSet, parts: ImageSplits, recipe: FeatureRecipe) -> ImageRecord:
    files, y = images.annotations.files, images.table.y
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
    )
