"""Files of a search's run: its test rows or images, and the keys of the rows or images that it trained on."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import numpy as np

from insects.errors import DataError
from insects.row_hashes import Hashes
from insects.splits import Table
from search.store.image_manifest import ImageManifest

TEST_ROWS = "test_rows.npz"
TEST_IMAGES = "test_images.csv"
"""A file that `insects-evaluate --images` can read."""

TRAINED_ON = "trained_on.npy"
"""Keys of the training and validation rows or images, by which an evaluation recognizes them."""

LABEL, GROUP = "label", "group"
"""Its columns beside the file names."""


def save_table(table: Table, path: Path) -> None:
    """Write the rows of a table.

    Args:
        table: The test rows.
        path: The file.
    """
    names = json.dumps([table.features, table.classes, table.source])
    np.savez_compressed(path, names=np.frombuffer(names.encode(), np.uint8), x=table.x, y=table.y)


def load_table(path: Path) -> Table:
    """Read what `save_table` wrote.

    Raises:
        DataError: The file is not that.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            features, classes, source = json.loads(file["names"].tobytes())
            return Table(tuple(features), tuple(classes), file["x"], file["y"], source)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the test rows in {path}: {error}; give others", parameter="test") from error


def save_keys(keys: Hashes, path: Path) -> None:
    """Write keys of rows or images.

    Args:
        keys: The keys, sorted.
        path: The file.
    """
    np.save(path, keys, allow_pickle=False)


def count_known(keys: Hashes, path: Path) -> int | None:
    """Count the keys that are in a file of `save_keys`.

    Args:
        keys: The keys of rows or images.
        path: The file.

    Returns:
        Their number; None if the file is empty, since equal rows of the data cannot be told apart.

    Raises:
        DataError: The file is not that.
    """
    try:
        with open(path, "rb") as file:
            known: Hashes = np.lib.format.read_array(file, allow_pickle=False)
        return int(np.isin(keys, known).sum()) if len(known) else None
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"cannot read the keys of the training rows in {path}: {error}") from error


def save_images(images: ImageManifest, test: Table, path: Path) -> None:
    """Write name, label, SHA-256 and, if there are groups, group of each test image.

    Args:
        images: The images of the study.
        test: The test rows, one for each of `images.test`.
        path: The file.
    """
    names, digests = zip(*images.test, strict=True)
    columns = {"filename": names, LABEL: [test.classes[code] for code in test.y], "sha256": digests}
    if images.test_groups is not None:
        columns[GROUP] = images.test_groups
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def load_digests(path: Path) -> tuple[dict[str, str], bool]:
    """Read what `save_images` wrote.

    Returns:
        SHA-256 by name, and whether there are groups.

    Raises:
        DataError: The file is not that.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            digests = {row["filename"]: row["sha256"] for row in reader}
            return digests, GROUP in (reader.fieldnames or ())
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DataError(f"cannot read the test images in {path}: {error}; give others", parameter="images") from error
