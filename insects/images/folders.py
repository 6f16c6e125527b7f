"""A folder of images as the annotations of its files: the folder that an image is in is its class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from insects.errors import DataError
from insects.images.annotations import Annotations
from insects.tables.names import checked_name, ordered_classes
from insects.text import listed, shown

ENDINGS = (
    ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".jp2", ".avif",
)  # fmt: skip
"""Endings of image files, in lower case; other files in a folder are not images."""


def image_files(folder: Path) -> list[str]:
    """Find the images in a folder and in the folders below it, without hidden ones.

    Args:
        folder: The folder.

    Returns:
        Their names relative to it, sorted.

    Raises:
        DataError: The folder cannot be read, or holds no image.
    """

    def refuse(error: OSError) -> None:
        raise DataError(f"{shown(folder, limit=200)} cannot be read: {error.strerror}; check it and its permissions")

    found = []
    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            os.path.relpath(os.path.join(place, name), folder)
            for name in names
            if name.lower().endswith(ENDINGS) and not name.startswith(".")
        ]
    if not found:
        raise DataError(f"{shown(folder, limit=200)} holds no images ({', '.join(ENDINGS)}); choose another folder")
    return sorted(found)


def folder_annotations(folder: Path, classes: Sequence[str] | None = None) -> Annotations:
    """Return the images of a folder that has one folder for each class, as torchvision's `ImageFolder` reads it.

    Args:
        folder: The folder.
        classes: Class names of a model, in its order, that the folders must be among; None: those that are there.

    Returns:
        The annotations, sorted by file name.

    Raises:
        DataError: The folder holds no folders with images, or the name of one is not a valid class.
    """
    source, files = folder.resolve().name or str(folder), image_files(folder)
    loose = [name for name in files if os.path.dirname(name) == ""]
    if loose:
        raise DataError(
            f"{source} must hold one folder for each class, found the image {shown(loose[0])} beside them; put it into "
            "the folder of its class, or give a CSV with file names and labels"
        )
    labels = [Path(name).parts[0] for name in files]
    for label in dict.fromkeys(labels):
        try:
            checked_name(label)
        except ValueError as reason:
            raise DataError(f"{source}: the name of the folder {shown(label)} {reason}") from None
    different = list(dict.fromkeys(labels))
    names, order = ordered_classes(different)
    known = tuple(names if classes is None else classes)
    strange = [name for name in names if name not in known]
    if strange:
        raise DataError(
            f"{source}: a folder must be named like one of the classes trained on ({listed(known)}), found "
            f"{listed(strange)}; rename or remove it"
        )
    name_of = {label: names[code] for label, code in zip(different, order, strict=True)}
    y = np.array([known.index(name_of[label]) for label in labels], np.int32)
    return Annotations(source, folder, (), tuple(files), known, y, None)
