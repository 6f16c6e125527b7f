"""Disks of a chosen size, in memory."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers import unavailable


@contextmanager
def mounted(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own, at a folder that is made; the test is skipped where none can be mounted."""
    folder.mkdir()
    mount = _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if mount.returncode:
        unavailable(f"no disk can be mounted here: {mount.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def resize(disk: Path, size: str) -> None:
    """Make more or less room."""
    _mount("-o", f"remount,size={size}", str(disk)).check_returncode()


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
