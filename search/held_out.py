"""The test rows of a search as one file beside its run, so that an evaluation needs nothing else."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np

from insects.errors import DataError
from insects.splits import Table

HELD_OUT = "held_out.npz"


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
