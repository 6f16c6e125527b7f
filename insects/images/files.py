"""The image files of a folder: where they are, their bytes and digests, read on all cores. Decodes nothing."""

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
"""Called with the images done and the images in all, from the calling thread."""

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
"""What is read: pictures of pixels alone. Pillow would hand PostScript to Ghostscript, which runs what is in it."""

MOST_BYTES = 2**30
"""Of an image file; the most pixels that are read take less, and what is larger would fill the memory."""

_Result = TypeVar("_Result")


NO_MEMORY = "cannot be read: out of memory; end other programs and start again"


class Unreadable(ValueError):
    """A file that cannot be read now. That is not of its content: the next attempt may succeed."""


Faults = dict[int, ValueError]
"""What is wrong with files, by position: `Unreadable`, or what their content alone makes be wrong."""


def image_path(folder: Path, name: str) -> Path:
    """Where the image `name` of a folder is, links followed.

    Raises: Unreadable: with the reason: there is no such file, it is none, or it lies outside of the folder.
    """
    root, place = folder.resolve(), shown(folder, limit=200)
    try:
        path = (root / name).resolve(strict=True)
    except FileNotFoundError:
        hint = "write folders with /" if "\\" in name else "check the name and --image-dir"
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
    """The bytes of an image file. digest: hex SHA-256 that it had a moment ago; None: it may have any.

    Raises: Unreadable: as `image_path`, it cannot be read, is too large, or has changed.
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
        raise Unreadable(f"cannot be read: {reason}; check the file and its rights") from None
    except MemoryError:
        raise Unreadable(NO_MEMORY) from None
    if digest not in (None, hashlib.sha256(data).hexdigest()):
        raise Unreadable("changed while it was read; start again when it stays as it is")
    return data


@dataclass(frozen=True)
class ImageFile:
    """What a file is, without decoding it.

    digest: hex SHA-256 of its bytes. size: their number. kind: format and colours by the header (`JPEG, RGB`), empty
    where it is that of no image. width, height: by the header, 0 where there is none.
    """

    digest: str
    size: int
    kind: str
    width: int
    height: int


def read_files(folder: Path, files: Sequence[str], workers: int | None = None) -> tuple[list[ImageFile | None], Faults]:
    """What each file is; for files that cannot be read None, and why, by position."""
    Image.init()  # not safe to happen in several threads at once
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's word on large images and odd metadata
        return for_each(lambda name: _inspect(content(folder, name)), files, None, workers)


def open_image(data: bytes) -> Image.Image:
    """The image of a file's content, of which the header alone is read yet; raises whatever Pillow does."""
    return Image.open(io.BytesIO(data), formats=FORMATS)


def _inspect(data: bytes) -> ImageFile:
    try:
        with open_image(data) as image:
            kind, (width, height) = f"{image.format}, {image.mode}", image.size
    except Exception:  # a header can break a decoder in any way; whether it is an image, decoding will say
        kind, width, height = "", 0, 0
    return ImageFile(hashlib.sha256(data).hexdigest(), len(data), kind, width, height)


def for_each(
    task: Callable[[str], _Result], files: Sequence[str], on_image: OnImage | None, workers: int | None
) -> tuple[list[_Result | None], Faults]:
    """The task's result for each file, in threads; None where it raised ValueError, and that by position."""
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
