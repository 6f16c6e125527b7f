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

OnImage = Callable[[int, int], None]
"""Called with the images done and the images in all, from the calling thread."""

_Result = TypeVar("_Result")


def image_path(folder: Path, name: str) -> Path:
    """Where the image `name` of a folder is, links followed.

    Raises: ValueError: with the reason: there is no such file, it is none, or it lies outside of the folder.
    """
    root = folder.resolve()
    try:
        path = (root / name).resolve(strict=True)
    except FileNotFoundError:
        hint = "write folders with /" if "\\" in name else "check the name and --image-dir"
        raise ValueError(f"is not in {folder}; {hint}") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, up to Python 3.12
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        raise ValueError(f"cannot be found: {reason}; correct the name") from None
    if not path.is_relative_to(root):
        raise ValueError(f"must be inside {folder}, but is a link that leads out of it; put the file itself there")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise ValueError(f"must be a file, but is {kind}; name the image itself")
    return path


def content(folder: Path, name: str) -> bytes:
    """The bytes of an image file.

    Raises: ValueError: as `image_path`, or it cannot be read.
    """
    path = image_path(folder, name)
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"cannot be read: {reason}; check the file and its rights") from None


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


def read_files(
    folder: Path, files: Sequence[str], workers: int | None = None
) -> tuple[list[ImageFile | None], dict[int, str]]:
    """What each file is; for files that cannot be read None, and the reason by position."""
    Image.init()  # not safe to happen in several threads at once
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's word on large images and odd metadata
        return for_each(lambda name: _inspect(content(folder, name)), files, None, workers)


def _inspect(data: bytes) -> ImageFile:
    try:
        with Image.open(io.BytesIO(data)) as image:
            kind, (width, height) = f"{image.format}, {image.mode}", image.size
    except Exception:  # a header can break a decoder in any way; whether it is an image, decoding will say
        kind, width, height = "", 0, 0
    return ImageFile(hashlib.sha256(data).hexdigest(), len(data), kind, width, height)


def for_each(
    task: Callable[[str], _Result], files: Sequence[str], on_image: OnImage | None, workers: int | None
) -> tuple[list[_Result | None], dict[int, str]]:
    """The task's result for each file, in threads; None where it raised ValueError, and the reason by position."""
    faults: dict[int, str] = {}

    def attempt(position: int) -> _Result | None:
        try:
            return task(files[position])
        except ValueError as reason:
            faults[position] = str(reason)
            return None

    results = []
    with ThreadPoolExecutor(workers or os.cpu_count(), "image") as executor:
        for done, result in enumerate(executor.map(attempt, range(len(files))), start=1):
            results.append(result)
            if on_image is not None:
                on_image(done, len(files))
    return results, faults
