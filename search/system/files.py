"""Files of a store: whole or absent, and in one line what stands in the way of one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from insects.errors import StoreError


def resolved(path: Path) -> Path:
    """The absolute path, with links followed as far as they lead.

    Raises: StoreError: the working directory, which a relative path is in, is gone.
    """
    try:
        return Path(os.path.realpath(path))  # `Path.resolve` raises at links that go round
    except FileNotFoundError as error:
        raise StoreError(f"cannot find {path}: the working directory is gone; change to one that is there") from error


def exists(path: Path, option: str = "--store") -> bool:
    """Whether a file or a folder is there. option: what names another one.

    Raises: StoreError: that cannot be told: a folder above is closed or no folder, a name is too long, links go round.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}; choose another {option}") from error
    return True


def listing(folder: Path, *, folders: bool = False) -> list[Path]:
    """What a folder holds, by name, or only the folders in it; nothing if there is no such folder.

    Raises: StoreError: it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if not folders or entry.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"cannot read {folder}: {error.strerror}; choose another --store") from error


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, so that it outlives a power cut.

    Raises: StoreError: it cannot be made.
    """
    try:
        made = [folder for folder in path.parents if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        for folder in (path, *made):  # an entry is on the disk with the folder that it is in
            _sync_folder(folder.parent)
    except OSError as error:
        raise StoreError(f"cannot create {path}: {error.strerror}; choose another --store") from error


def write(path: Path, content: bytes) -> None:
    """Replace a file so that a reader, or a restart after a power cut, sees the old or the new one whole.

    Raises: StoreError: it cannot be written; the old one is still there.
    """
    temporary = path.with_name(f".{path.name}.part")  # a killed writer's is overwritten: the study has one at a time
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):  # what was in the way of writing is what to tell
            temporary.unlink()
        raise StoreError(
            f"cannot write {path}: {error.strerror}; what is finished is kept: make room or choose another --store, "
            "then run the same command again"
        ) from error


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
