"""Reading image files safely, in threads: paths inside the folder, bytes, digests and headers; decodes no pixels."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from insects.text import shown

OnImage = Callable[[int, int], None]
"""Called from the calling thread with the number of images done and of all images."""

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
"""The accepted formats, all of them plain bitmaps: Pillow runs Ghostscript on PostScript, which is a program."""

MOST_BYTES = 2**30
"""Largest image file: enough for the largest image that is decoded; anything larger would fill the memory."""

_Result = TypeVar("_Result")

NO_MEMORY = "cannot be read: out of memory; end other programs and start again"


class Unreadable(ValueError):
    """A file cannot be read for a reason outside of its content. The next attempt may succeed, so it is not cached."""


Faults = dict[int, ValueError]
"""Errors by position of the file: `Unreadable`, or another ValueError for bad content."""


def image_path(folder: Path, name: str) -> Path:
    """Resolve the path of an image, following links.

    Args:
        folder: The image folder.
        name: File name relative to it.

    Returns:
        The absolute path.

    Raises:
        Unreadable: There is no such file, it is not a regular file, or it is outside of the folder.
    """
    root, place = folder.resolve(), shown(folder, limit=200)
    try:
        path = (root / name).resolve(strict=True)
    except FileNotFoundError:
        hint = "write folders with /" if "\\" in name else "check the name and the image folder"
        raise Unreadable(f"is not in {place}; {hint}") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, up to Python 3.12
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise Unreadable(f"cannot be found: {reason}; correct the name") from None
    if not path.is_relative_to(root):
        raise Unreadable(f"must be inside {place}, but is a link that leads out of it; put the file itself there")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise Unreadable(f"must be a file, but is {kind}; name the image itself")
    return path


def content(folder: Path, name: str, digest: str | None = None) -> bytes:
    """Read the bytes of an image file.

    Args:
        folder: The image folder.
        name: File name relative to it.
        digest: Hex SHA-256 of the expected content; None: any content.

    Returns:
        The bytes.

    Raises:
        Unreadable: As for `image_path`; also if the file cannot be read, is too large, or has another digest.
    """
    path = image_path(folder, name)
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise Unreadable(
                f"must have at most {MOST_BYTES:,} bytes, found {size:,}; save it smaller, or leave it out"
            )
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Unreadable(f"cannot be read: {reason}; check the file and its permissions") from None
    except MemoryError:
        raise Unreadable(NO_MEMORY) from None
    if digest not in (None, hashlib.sha256(data).hexdigest()):
        raise Unreadable("changed while it was read; start again when it stays as it is")
    return data


@dataclass(frozen=True)
class ImageFile:
    """Digest and header of an image file.

    Attributes:
        digest: Hex SHA-256 of its bytes.
        size: Bytes.
        kind: Format and colour mode, for example `JPEG, RGB`; empty if the header is not that of an image.
        width: Width in pixels by the header, 0 if it is not that of an image.
        height: Height in pixels, likewise.
    """

    digest: str
    size: int
    kind: str
    width: int
    height: int


def read_files(folder: Path, files: Sequence[str], workers: int | None = None) -> tuple[list[ImageFile | None], Faults]:
    """Read the digest and the header of each file.

    Args:
        folder: The image folder.
        files: File names relative to it.
        workers: Threads; None: one per core.

    Returns:
        One item per file, None for a file that cannot be read; and the errors of those files.
    """
    Image.init()  # Pillow would do it in every thread on first use, which is not thread-safe
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large images and unusual metadata
        return for_each(lambda name: _inspect(content(folder, name)), files, None, workers)


def open_image(data: bytes) -> Image.Image:
    """Open an image and read its header only; raises any error of Pillow."""
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _inspect(data: bytes) -> ImageFile:
    try:
        with open_image(data) as image:
            kind, (width, height) = f"{image.format}, {image.mode}", image.size
    except Exception:  # a damaged header can raise anything in Pillow; decoding will report it
        kind, width, height = "", 0, 0
    return ImageFile(hashlib.sha256(data).hexdigest(), len(data), kind, width, height)


def for_each(
    task: Callable[[str], _Result], files: Sequence[str], on_image: OnImage | None, workers: int | None
) -> tuple[list[_Result | None], Faults]:
    """Run a task for each file in threads.

    Args:
        task: Called with a file name.
        files: The file names.
        on_image: Called after each file, in their order.
        workers: Threads; None: one per core.

    Returns:
        The results, None where the task raised ValueError; and these errors.
    """
    faults: Faults = {}

    def attempt(position: int) -> _Result | None:
        try:
            return task(files[position])
        except ValueError as fault:
            faults[position] = fault
            return None

    results = []
    with ThreadPoolExecutor(workers or os.cpu_count(), "image") as executor:
        for done, result in enumerate(executor.map(attempt, range(len(files))), start=1):
            results.append(result)
            if on_image is not None:
                on_image(done, len(files))
    return results, faults
