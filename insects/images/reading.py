"""Image files -> pixels, on all cores.

JPEG goes through torchvision. Everything else goes through Pillow: torchvision 0.29 ends the whole process with a
segmentation fault at a PNG whose data is damaged, and knows no BMP and TIFF. Its JPEG stood 5,000 damaged files.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional as transforms

from insects.images.annotations import image_path

Pixels = NDArray[np.uint8]
OnImage = Callable[[int, int], None]
"""Called with the images done and the images in all, from the calling thread."""

LARGEST = 80_000_000
"""Pixels of an image; more is a slip or an attack, and would fill the memory."""

_Result = TypeVar("_Result")
_JPEG = b"\xff\xd8\xff"


def read_pixels(
    folder: Path, files: Sequence[str], size: int, on_image: OnImage | None = None, workers: int | None = None
) -> tuple[Pixels, dict[int, str]]:
    """Pixels `(N, 3, size, size)` uint8 RGB of the files, and for those that have none the reason by position.

    A picture is squeezed into the square: cropping would lose what stands at its edge, and the model that gets raw
    pictures of any shape can do the same in one step. A file without pixels stays black.
    """
    pixels = np.zeros((len(files), 3, size, size), np.uint8)

    def read(position: int) -> None:
        pixels[position] = resized(decode(_content(folder, files[position])), size).numpy()

    return pixels, _each(read, len(files), on_image, workers)[1]


def read_digests(
    folder: Path, files: Sequence[str], workers: int | None = None
) -> tuple[list[str | None], dict[int, str]]:
    """Hex SHA-256 of each file, nothing decoded; for files that cannot be read None, and the reason by position."""
    return _each(lambda n: hashlib.sha256(_content(folder, files[n])).hexdigest(), len(files), None, workers)


def decode(content: bytes) -> torch.Tensor:
    """Decode an image file to `(3, H, W)` uint8 RGB, turned upright by its EXIF orientation.

    Transparent pixels become white, 16 bits become 8, and of a moving picture the first frame is taken.
    Raises: ValueError: with the reason: the content is no image, not whole, or too large.
    """
    if not content:
        raise ValueError("is empty; copy it anew, or leave it out")
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height <= LARGEST:
                return _decode_jpeg(content) if content.startswith(_JPEG) else _decode_with_pillow(image)
    except Image.DecompressionBombError:
        pass  # Pillow's own word for too large
    except Image.UnidentifiedImageError:
        raise ValueError("is no image; replace it by the image, or leave it out") from None
    except Exception as error:  # at damaged content a decoder raises whatever it ran into
        raise ValueError(f"is damaged: {_reason(error)}; copy it anew, or leave it out") from None
    raise ValueError(f"must have at most {LARGEST:,} pixels; save it smaller, or leave it out")


def resized(image: torch.Tensor, size: int) -> torch.Tensor:
    """`(3, H, W)` uint8 squeezed to `(3, size, size)`, antialiased."""
    result: torch.Tensor = transforms.resize(image, [size, size], antialias=True)
    return result


def _decode_jpeg(content: bytes) -> torch.Tensor:
    data = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    return decode_jpeg(data, mode=ImageReadMode.RGB, apply_exif_orientation=True)


def _decode_with_pillow(image: Image.Image) -> torch.Tensor:
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # Pillow would clip 16 bits at 255
        upright = Image.fromarray((np.asarray(upright).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
    return torch.from_numpy(np.array(upright.convert("RGB"))).permute(2, 0, 1)


def _reason(error: Exception) -> str:
    """What a decoder says, without torchvision's file and line, in at most 80 characters."""
    text = str(error).splitlines()[0] if str(error).strip() else type(error).__name__
    return text.rpartition(".cpp:")[2].lstrip("0123456789, ")[:80]


def _content(folder: Path, name: str) -> bytes:
    path = image_path(folder, name)
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"cannot be read: {reason}; check the file and its rights") from None


def _each(
    task: Callable[[int], _Result], count: int, on_image: OnImage | None, workers: int | None
) -> tuple[list[_Result | None], dict[int, str]]:
    """The task's result at each position, and the reason where it raised ValueError."""
    faults: dict[int, str] = {}

    def attempt(position: int) -> _Result | None:
        try:
            return task(position)
        except ValueError as error:
            faults[position] = str(error)
            return None

    results = []
    with _one_thread_an_image(), ThreadPoolExecutor(workers or os.cpu_count(), "image") as executor:
        for done, result in enumerate(executor.map(attempt, range(count)), start=1):
            results.append(result)
            if on_image is not None:
                on_image(done, count)
    return results, faults


@contextmanager
def _one_thread_an_image() -> Iterator[None]:
    """Torch's own threads inside each of ours would fight for the same cores. Pillow's word on odd metadata is hushed."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    Image.init()  # not safe to happen in several threads at once
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)
