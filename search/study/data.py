"""The data of a search: which rows or images are asked for, and reading and splitting them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insects.encoder import fit_encoder
from insects.errors import StoreError
from insects.folds import FoldRows
from insects.row_hashes import Hashes, row_hashes, row_keys
from insects.spiral import builtin_tables
from insects.splits import Parts, Splits, Table, content_hashes, digest_of, draw_parts, encoded_splits
from insects.tables.columns import Columns
from search.store.image_manifest import ImageManifest
from search.store.serialization import SAMPLE_ROWS
from search.store.study_folder import StoredData
from search.store.table_manifest import TableManifest
from search.system.terminal import ReadingProgress, say

if TYPE_CHECKING:
    from insects.images.annotations import Annotations
    from insects.images.describe import ImageDescription
    from insects.images.features import FeatureRecipe, ImageSet
    from insects.images.splits import ImageSplits
    from insects.tables.frames import TableSource
    from insects.tables.text_files import TableFormat

TABLE_TARGET, IMAGE_TARGET = "labels", "species"
"""The label columns where none is named."""

_NO_KEYS: Hashes = np.empty(0, np.uint64)
_DEMO_TARGET, _DEMO_GROUP = "species", "sample"


@dataclass(frozen=True)
class ImageRequest:
    """The images that are asked for.

    Attributes:
        csv: The annotations, or a folder with one folder of images for each class; None: the drawn demo set.
        folder: The folder that the file names of a CSV are in.
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
        train: The table's file, or a data frame; None: the built-in table.
        target: The label column.
        features: The input columns; None: all others.
        categorical: Input columns that are categories, whatever they hold.
        numeric: Input columns that are numbers, whatever they hold.
        drop: Columns that are not used.
        group: The column of what several rows belong to, which is never split; None: each row stands for itself.
        table_format: How a text file is read.
        drop_rare_classes: Leave out classes with too few rows to be in every part.
        scaling: What the encoder does to numbers.
        test: The file of the test rows, or a data frame; None: a share of the table, or the built-in test table.
        test_fraction: That share.
        split_seed: The seed of the splits.
        images: The images, in place of a table.
    """

    train: TableSource | None
    target: str = TABLE_TARGET
    features: tuple[str, ...] | None = None
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    group: str | None = None
    table_format: TableFormat | None = None
    drop_rare_classes: bool = False
    scaling: str = "standard"
    test: TableSource | None = None
    test_fraction: float = 0.1
    split_seed: int = 0
    images: ImageRequest | None = None

    @property
    def is_builtin(self) -> bool:
        """Whether the built-in table is asked for."""
        return self.train is None and self.images is None

    @property
    def stem(self) -> str:
        """The first part of the name that study and model get if the user gives none."""
        from insects.tables.names import stem

        return "insects" if self.train is None else stem(self.train if isinstance(self.train, Path) else "frame")


def load_data(request: DataRequest, cache: Path) -> StoredData:
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
    return _load_builtin(request) if request.train is None else _load_table(request, request.train)


def _load_builtin(request: DataRequest) -> StoredData:
    table, test = builtin_tables()
    columns = Columns.of_numbers(table.features)
    if request.test is not None:
        from insects.tables.labelled import read_rows_like

        test, notes = read_rows_like(request.test, columns, table.classes, request.target, request.table_format)
        _say(notes)
    hash_N = content_hashes(row_hashes(table.x.T, len(table.y), request.split_seed), table.y, table.classes)
    parts = draw_parts(hash_N, table.y, table.classes, table.source, test_fraction=None)
    encoder = fit_encoder(columns.coded, table.x[parts.train], table.y[parts.train], request.scaling)
    splits = encoded_splits(table, parts.train, parts.valid, encoder)
    manifest = TableManifest(TABLE_TARGET, columns.as_dict(), [], [])
    return _stored(table, parts, splits, test, manifest, units=hash_N)


def _load_table(request: DataRequest, path: TableSource) -> StoredData:
    from insects.tables.labelled import ColumnChoice, read_labelled, read_rows_like
    from insects.tables.prepare import prepare_table

    choice = ColumnChoice(
        request.target, request.features, request.categorical, request.numeric, request.drop, request.group
    )
    parts = 3 if request.test is None else 2
    labelled = read_labelled(path, choice, request.table_format, parts if request.drop_rare_classes else None)
    fraction = request.test_fraction if request.test is None else None
    prepared = prepare_table(labelled, choice, test_fraction=fraction, seed=request.split_seed, scaling=request.scaling)
    _say(prepared.notes)
    test = prepared.test
    if request.test is not None:
        classes = labelled.classes
        test, notes = read_rows_like(request.test, prepared.columns, classes, request.target, request.table_format)
        _say(notes)
    assert test is not None, "without a file of test rows they were drawn"
    dropped = [list(pair) for pair in prepared.dropped]
    manifest = TableManifest(request.target, prepared.columns.as_dict(), dropped, list(prepared.notes))
    return _stored(
        prepared.table,
        prepared.parts,
        prepared.splits,
        test,
        manifest,
        units=prepared.units,
        grouped=labelled.groups is not None,
        rows_repeat=prepared.rows_repeat,
    )


def _stored(
    table: Table,
    parts: Parts,
    splits: Splits,
    test: Table,
    manifest: TableManifest,
    *,
    units: Hashes,
    grouped: bool = False,
    rows_repeat: bool = False,
) -> StoredData:
    key_N = row_keys(table.x, table.y)
    seen = np.concatenate([parts.train, parts.valid])
    train_raw, valid_raw = (table.x[part[:SAMPLE_ROWS]] for part in (parts.train, parts.valid))
    return StoredData(
        source=table.source,
        splits=splits,
        train_raw=train_raw,
        valid_raw=valid_raw,
        test=test,
        rows=_rows_digest(splits, key_N[parts.train], key_N[parts.valid]),
        # Where rows repeat, an equal row may be another one.
        seen=_NO_KEYS if rows_repeat else np.unique(key_N[seen]),
        manifest=manifest,
        fold_rows=FoldRows(splits, units[seen], grouped),
    )


def _rows_digest(splits: Splits, train_keys: Hashes, valid_keys: Hashes) -> str:
    names = (splits.features, splits.classes)
    return digest_of(names, (train_keys, splits.train_y, valid_keys, splits.valid_y))


def _say(notes: Sequence[str]) -> None:
    for note in notes:
        say(note[0].upper() + note[1:])


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
    from insects.images.features import load_images

    annotations = _annotations(request, target, cache)
    with ReadingProgress() as progress:
        return load_images(annotations, request.recipe, cache, skip_bad_images=skip_bad, on_image=progress.show)


def _annotations(request: ImageRequest, target: str, cache: Path) -> Annotations:
    from insects.images.annotations import read_annotations
    from insects.images.folders import folder_annotations

    if request.csv is not None and request.csv.is_dir():
        return folder_annotations(request.csv)
    csv, folder = _demo(cache / "demo") if request.csv is None else (request.csv, request.folder)
    assert folder is not None, "the command line requires it"
    return read_annotations(csv, folder, *image_columns(request, target), request.filename)


def _load_images(request: DataRequest, images: ImageRequest, cache: Path) -> StoredData:
    from insects.images.describe import describe_images
    from insects.images.splits import split_images

    found = read_image_set(images, request.target, cache, images.skip_bad)
    if found.skipped:
        say(f"Bad images left out: {len(found.skipped)}; the first: {found.skipped[0]}")
    parts = split_images(found, test_fraction=request.test_fraction, seed=request.split_seed)
    _say(parts.notes)
    description = describe_images(found, *image_columns(images, request.target))
    manifest = _manifest(found, parts, image_columns(images, request.target)[0], images.recipe, description)
    train_raw, valid_raw = (found.table.x[part[:SAMPLE_ROWS]] for part in (parts.train, parts.valid))
    seen = np.concatenate([parts.train, parts.valid])
    key_N = np.array([image_key(digest) for digest in found.digests], np.uint64)
    features_N = row_keys(found.table.x, found.table.y)
    return StoredData(
        source=found.table.source,
        splits=parts.splits,
        train_raw=train_raw,
        valid_raw=valid_raw,
        test=parts.test_table,
        rows=_rows_digest(parts.splits, features_N[parts.train], features_N[parts.valid]),
        seen=np.unique(key_N[seen]),
        manifest=manifest,
        fold_rows=FoldRows(parts.splits, parts.units[seen], parts.grouped),
    )


def image_key(digest: str) -> int:
    """The key by which an image is recognized, as `insects.row_hashes.row_keys` for rows.

    Args:
        digest: Hex SHA-256 of the file.
    """
    return int(digest[:16], 16)


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
    images: ImageSet, parts: ImageSplits, target: str, recipe: FeatureRecipe, description: ImageDescription
) -> ImageManifest:
    from insects.images.samples import choose_samples

    files, groups, y = images.annotations.files, images.annotations.groups, images.table.y
    digest = None
    if recipe.backbone is not None:
        from insects.images.backbone import weights_digest

        digest = weights_digest(recipe.backbone, recipe.weights)
    return ImageManifest(
        target=target,
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
