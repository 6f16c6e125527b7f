"""What a search is asked to learn from, and the way to it: files read, split and ready."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from insects.spiral import builtin_tables
from insects.splits import Splits, Table, split
from search.store.image_manifest import ImageRecord

if TYPE_CHECKING:
    from insects.images.features import FeatureRecipe


@dataclass(frozen=True)
class ImageRequest:
    """Which images to search on. csv, folder: None: the drawn set. group: None: images stand alone."""

    csv: Path | None
    folder: Path | None
    group: str | None
    filename: str
    recipe: FeatureRecipe
    skip_bad: bool


@dataclass(frozen=True)
class DataRequest:
    """Which rows to search on. train, test: CSV files; None: the built-in tables, or no test file. images: in place of
    a table."""

    train: Path | None
    target: str
    features: tuple[str, ...] | None
    test: Path | None
    test_fraction: float
    split_seed: int
    images: ImageRequest | None = None


@dataclass(frozen=True)
class SearchData:
    """What a search trains on and what it never sees. source: what to call the table. images: what the rows are made
    from, if from images."""

    splits: Splits
    held_out: Table
    source: str
    images: ImageRecord | None = None


def load_data(request: DataRequest, cache: Path) -> SearchData:
    """Read and split. cache: a folder for features of images, made when it is needed.

    Raises: DataError: the files are not fit for it.
    """
    if request.images is not None:
        from search.study.image_data import load_image_data

        return load_image_data(request, request.images, cache)
    test: Table | None = None
    if request.train is None:
        train, test = builtin_tables()
    else:
        from insects.tables.labelled import read_table

        train = read_table(request.train, request.target, request.features)
    if request.test is not None:
        from insects.tables.labelled import read_rows_like

        test = read_rows_like(request.test, train.features, train.classes, request.target)
    splits, held_out = split(train, test=test, test_fraction=request.test_fraction, seed=request.split_seed)
    return SearchData(splits, held_out, train.source)
