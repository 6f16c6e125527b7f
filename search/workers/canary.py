"""The bits of the canary trial that the workers of a study must give."""

from __future__ import annotations

from pathlib import Path

from insects.errors import StoreError
from insects.machine import Machine, canary_digest, machine_of
from search.system import files

_NAME = "canary"


def known_canary(machine: Machine, folder: Path) -> str | None:
    """Return the digest of the canary trial, as far as it is known here.

    Args:
        machine: The kind of machine that trains.
        folder: The study's folder.

    Returns:
        What the study's first workers gave, or what this machine gives where it is of that kind; else None.

    Raises:
        StoreError: The folder cannot be read.
    """
    try:
        return (folder / _NAME).read_text(encoding="ascii")
    except FileNotFoundError:
        return canary_digest(machine.choice) if machine_of(machine.choice) == machine else None
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {folder / _NAME}: {error}; restore the file or remove it") from error


def keep_canary(digest: str, folder: Path) -> None:
    """Keep the digest of the canary trial with the study, so that every later run asks for the same bits."""
    files.write(folder / _NAME, digest.encode())
