"""The test rows of a search as one file beside its run: those of a table whole, of images the names and digests."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import numpy as np

from insects.errors import DataError
from insects.splits import Table
from search.store.image_manifest import ImageRecord

HELD_OUT = "held_out.npz"
HELD_OUT_IMAGES = "held_out.csv"
"""Fit for `insects-evaluate --images`: it tells those files and their labels."""
FOLDER_TAG, SOURCE_TAG = "insects.image_folder", "insects.images"
LABEL, GROUP = "label", "group"


def save_table(table: Table, path: Path) -> None:
    """Write a table."""
    names = json.dumps([table.features, table.classes, table.source])
    np.savez_compressed(path, names=np.frombuffer(names.encode(), np.uint8), x=table.x, y=table.y)


def load_table(path: Path) -> Table:
    """Read what `save_table` wrote.

    Raises: DataError: the file is not that.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            features, classes, source = json.loads(file["names"].tobytes())
            return Table(tuple(features), tuple(classes), file["x"], file["y"], source)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the held-out rows in {path}: {error}; give them with --test") from error


def save_images(images: ImageRecord, held_out: Table, path: Path) -> None:
    """Write name, label, SHA-256 and, if there are groups, group of each held-out image."""
    names, digests = zip(*images.test, strict=True)
    columns = {"filename": names, LABEL: [held_out.classes[code] for code in held_out.y], "sha256": digests}
    if images.test_groups is not None:
        columns[GROUP] = images.test_groups
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def load_digests(path: Path) -> tuple[dict[str, str], bool]:
    """SHA-256 by name, of what `save_images` wrote, and whether it has groups.

    Raises: DataError: the file is not that.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            digests = {row["filename"]: row["sha256"] for row in reader}
            return digests, GROUP in (reader.fieldnames or ())
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"cannot read the held-out images in {path}: {error}; give them with --images") from error
