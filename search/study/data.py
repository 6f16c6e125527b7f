"""The data of a search: which rows or images are asked for, and reading and splitting them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insects.errors import StoreError
from insects.spiral import builtin_tables
from insects.splits import Splits, Table, split
from search.store.image_manifest import ImageManifest
from search.store.serialization import SAMPLE_ROWS
from search.system.terminal import ReadingProgress, say

if TYPE_CHECKING:
    from insects.images.describe import ImageDescription
    from insects.images.features import FeatureRecipe, ImageSet
    from insects.images.splits import ImageSplits

TABLE_TARGET, IMAGE_TARGET = "labels", "species"
"""The label columns where none is named."""

_DEMO_TARGET, _DEMO_GROUP = "species", "sample"


@dataclass(frozen=True)
class ImageRequest:
    """The images that are asked for.

    Attributes:
        csv: The annotations; None: the drawn demo set.
        folder: The folder that the file names are in; None: that of the demo set.
        group: The column of what several images show, which is never split; None: each image stands for itself.
        filename: The column of the file names.
        recipe: How the images become features.
        skip_bad: Leave out files that cannot be read.
    """

    csv: Path | None
    folder: Path | None
    group: str | None
    filename: str
    recipe: FeatureRecipe
    skip_bad: bool


@dataclass(frozen=True)
class DataRequest:
    """The rows that are asked for.

    Attributes:
        train: The table's file; None: the built-in table.
        target: The label column.
        features: The input columns; None: all others.
        test: The file of the test rows; None: a share of the table, or the built-in test table.
        test_fraction: That share.
        split_seed: The seed of the splits.
        images: The images, in place of a table.
    """

    train: Path | None
    target: str
    features: tuple[str, ...] | None
    test: Path | None
    test_fraction: float
    split_seed: int
    images: ImageRequest | None = None


@dataclass(frozen=True)
class SearchData:
    """The data of a search.

    Attributes:
        splits: The rows that trials are trained and judged on.
        test: The test rows, which the search never uses.
        source: The name of the data.
        images: The image files that the rows were made from.
    """

    splits: Splits
    test: Table
    source: str
    images: ImageManifest | None = None


def load_data(request: DataRequest, cache: Path) -> SearchData:
    """Read and split the data of a search.

    Args:
        request: The rows or images asked for.
        cache: The folder of image features, made when it is needed.

    Raises:
        DataError: The files cannot be used.
        StoreError: The cache cannot be written.
    """
    if request.images is not None:
        return _load_images(request, request.images, cache)
    test: Table | None = None
    if request.train is None:
        train, test = builtin_tables()
    else:
        from insects.tables.labelled import read_table

        train = read_table(request.train, request.target, request.features)
    if request.test is not None:
        from insects.tables.labelled import read_rows_like

        test = read_rows_like(request.test, train.features, train.classes, request.target)
    splits, test = split(train, test=test, test_fraction=request.test_fraction, seed=request.split_seed)
    return SearchData(splits, test, train.source)


def image_columns(request: ImageRequest, target: str) -> tuple[str, str | None]:
    """Return the label and the group column; the demo set has its own.

    Args:
        request: The images asked for.
        target: The label column asked for.
    """
    return (_DEMO_TARGET, _DEMO_GROUP) if request.csv is None else (target, request.group)


def read_image_set(request: ImageRequest, target: str, cache: Path, skip_bad: bool) -> ImageSet:
    """Read annotated images, or their features where the cache has them, with a progress bar.

    Args:
        request: The images asked for.
        target: The label column.
        cache: The folder of image features, made when it is needed.
        skip_bad: Leave out files that cannot be read.

    Raises:
        DataError: The annotations or the images cannot be read.
        StoreError: The cache cannot be written.
    """
    from insects.images.annotations import read_annotations
    from insects.images.features import load_images

    if request.csv is None:
        csv, folder = _demo(cache / "demo")
    else:
        assert request.folder is not None, "the command line requires it"
        csv, folder = request.csv, request.folder
    annotations = read_annotations(csv, folder, *image_columns(request, target), request.filename)
    with ReadingProgress() as progress:
        return load_images(annotations, request.recipe, cache, skip_bad_images=skip_bad, on_image=progress.show)


def _load_images(request: DataRequest, images: ImageRequest, cache: Path) -> SearchData:
    from insects.images.describe import describe_images
    from insects.images.splits import split_images

    found = read_image_set(images, request.target, cache, images.skip_bad)
    if found.skipped:
        say(f"Bad images left out: {len(found.skipped)}; the first: {found.skipped[0]}")
    parts = split_images(found, test_fraction=request.test_fraction, seed=request.split_seed)
    for note in parts.notes:
        say(note[0].upper() + note[1:])
    description = describe_images(found, *image_columns(images, request.target))
    manifest = _manifest(found, parts, images.recipe, description)
    return SearchData(parts.splits, parts.test_table, found.table.source, manifest)


def _demo(folder: Path) -> tuple[Path, Path]:
    """Return the CSV and the image folder of the demo set, drawn unless it is complete."""
    csv = folder / "insects.csv"
    if csv.exists():  # it is written last
        return csv, folder / "images"
    from insects.images.demo import make_demo

    try:
        return make_demo(folder)
    except OSError as error:
        raise StoreError(f"cannot draw images into {folder}: {error.strerror}; choose another --store") from error


def _manifest(
    images: ImageSet, parts: ImageSplits, recipe: FeatureRecipe, description: ImageDescription
) -> ImageManifest:
    from insects.images.samples import choose_samples

    files, groups, y = images.annotations.files, images.annotations.groups, images.table.y
    digest = None
    if recipe.backbone is not None:
        from insects.images.backbone import weights_digest

        digest = weights_digest(recipe.backbone, recipe.weights)
    return ImageManifest(
        size=recipe.image_size,
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
