"""Atomic file writes, folders and temporary files. Errors name the path and how to fix it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from insects.errors import StoreError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def resolved(path: Path) -> Path:
    """Return the absolute path, with links followed as far as they lead."""
    return Path(os.path.realpath(path))  # `Path.resolve` raises at circular links


def exists(path: Path, option: str = "--store") -> bool:
    """Tell whether a file or a folder exists.

    Args:
        path: The file or folder.
        option: The option that the error message names.

    Raises:
        StoreError: Whether it exists cannot be determined: no permission, a name that is too long, circular links.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}; choose another {option}") from error
    return True


def listing(folder: Path, *, folders: bool = False) -> list[Path]:
    """List a folder by name; an absent folder is empty.

    Args:
        folder: The folder to list.
        folders: List its subfolders only.

    Raises:
        StoreError: The folder cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if not folders or entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"cannot read {folder}: {error.strerror}; choose another --store") from error


def make_folder(path: Path) -> None:
    """Make a folder and its parents, synced to the disk.

    Raises:
        StoreError: The folder cannot be made.
    """
    try:
        made = [folder for folder in path.parents if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in (path, *made):  # a folder survives a power cut once its parent is synced
            _sync_folder(folder.parent)
    except OSError as error:
        raise StoreError(f"cannot create {path}: {error.strerror}; choose another --store") from error


def write(path: Path, content: bytes) -> None:
    """Replace a file atomically: a reader, or a restart after a power cut, sees the old or the new content.

    Args:
        path: The file, in a folder that exists.
        content: Its new content.

    Raises:
        StoreError: The file cannot be written; the old one is still there.
    """
    write_all({path: content})


def write_all(contents: Mapping[Path, bytes]) -> None:
    """Replace files, each atomically as `write` does; to sync them together costs a disk less than one by one.

    Args:
        contents: The new content of each file.

    Raises:
        StoreError: A file cannot be written; each file is the old or the new one.
    """
    # A study has one writer at a time, so these names are free.
    temporary = {path: path.with_name(f".{path.name}.part") for path in contents}
    path = Path()
    try:
        with contextlib.ExitStack() as opened:
            written = []
            for path, content in contents.items():
                file = opened.enter_context(open(temporary[path], "wb"))
                file.write(content)
                file.flush()
                written.append(file)
            for file in written:
                os.fsync(file.fileno())
        for path in contents:
            os.replace(temporary[path], path)
        for folder in {path.parent for path in contents}:
            _sync_folder(folder)
    except OSError as error:
        for part in temporary.values():
            with contextlib.suppress(OSError):  # the first error is the one to report
                part.unlink()
        raise StoreError(
            f"cannot write {path}: {error.strerror}; finished trials are kept: make room or choose another --store, "
            "then run the same command again"
        ) from error


@contextmanager
def replaced_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write in the block; it takes the place of the old one at the end of the block, or never.

    Args:
        path: The file.

    Raises:
        StoreError: The file cannot be written; the old one is still there.
    """
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is not a regular file; choose another --out")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; make room, or choose another --out") from error
    finally:
        with contextlib.suppress(OSError):  # it is there only after an error
            temporary.unlink()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is deleted after the block.

    Raises:
        StoreError: The folder cannot be made, or the disk became full in the block. Other errors pass unchanged.
    """
    try:
        folder = tempfile.TemporaryDirectory()
    except OSError as error:
        raise _temporary_error(error) from error
    with folder as name, temporary_errors():
        yield Path(name)


@contextmanager
def temporary_errors() -> Iterator[None]:
    """Say what to do where the disk of temporary files becomes full in the block.

    Raises:
        StoreError: The disk became full. Other errors pass unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        raise _temporary_error(error) from error


def check_temporary_space(size: int) -> None:
    """Check that a temporary file of `size` bytes fits on the disk.

    Raises:
        StoreError: It does not.
    """
    try:
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise _temporary_error(error) from error
    if free < size:
        raise _temporary_error(f"{folder} has {free:,} bytes free, {size:,} are needed")


def _temporary_error(reason: OSError | str) -> StoreError:
    return StoreError(
        f"temporary files cannot be written ({reason}): make room, or set TMPDIR to a folder that has some"
    )


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
