"""Temporary files, and in one line what stands in the way of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from insects.errors import StoreError

_CHUNK = 1 << 20


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is gone after the block.

    Raises: StoreError: instead of the OSError of a folder that cannot be made, or of a file that cannot be written.
    """
    with writing_temporary_files(), tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def writing_temporary_files() -> Iterator[None]:
    """Turn what is raised where temporary files cannot be written into one line.

    Raises: StoreError: instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"temporary files cannot be written ({error}): make room, or set TMPDIR to a folder that has some"
        ) from error


def check_room(size: int) -> None:
    """See that a temporary file of `size` bytes can be written.

    Raises: StoreError: it cannot.
    """
    with writing_temporary_files(), tempfile.TemporaryFile() as file:
        for start in range(0, size, _CHUNK):
            file.write(bytes(min(_CHUNK, size - start)))
        file.flush()
