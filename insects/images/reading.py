"""Image files -> pixels, on all cores.

JPEG goes through torchvision. Everything else goes through Pillow: torchvision 0.29 ends the whole process with a
segmentation fault at a PNG whose data is damaged, and knows no BMP and TIFF. Its JPEG stood 5,000 damaged files.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torchvision.io import ImageReadMode, decode_jpeg
from torchvision.transforms.v2 import functional as transforms

from insects.images.files import OnImage, content, for_each

Pixels = NDArray[np.uint8]

LARGEST = 80_000_000
"""Pixels of an image; more is a slip or an attack, and would fill the memory."""

_JPEG = b"\xff\xd8\xff"


def read_pixels(
    folder: Path, files: Sequence[str], size: int, on_image: OnImage | None = None, workers: int | None = None
) -> tuple[Pixels, dict[int, str]]:
    """Pixels `(N, 3, size, size)` uint8 RGB of the files, and for those that have none the reason by position.

    A picture is squeezed into the square: cropping would lose what stands at its edge, and the model that gets raw
    pictures of any shape can do the same in one step. A file without pixels stays black.
    """
    with _one_thread_an_image():
        images, faults = for_each(
            lambda name: resized(decode(content(folder, name)), size).numpy(), files, on_image, workers
        )
    black = np.zeros((3, size, size), np.uint8)
    return np.stack([black if image is None else image for image in images]), faults


def decode(data: bytes) -> torch.Tensor:
    """Decode an image file to `(3, H, W)` uint8 RGB, turned upright by its EXIF orientation.

    Transparent pixels become white, 16 bits become 8, and of a moving picture the first frame is taken.
    Raises: ValueError: with the reason: the content is no image, not whole, or too large.
    """
    if not data:
        raise ValueError("is empty; copy it anew, or leave it out")
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height <= LARGEST:
                return _decode_jpeg(data) if data.startswith(_JPEG) else _decode_with_pillow(image)
    except Image.DecompressionBombError:
        pass  # Pillow's own word for too large
    except UnidentifiedImageError:
        raise ValueError("is no image; replace it by the image, or leave it out") from None
    except Exception as error:  # at damaged content a decoder raises whatever it ran into
        raise ValueError(f"is damaged: {_reason(error)}; copy it anew, or leave it out") from None
    raise ValueError(f"must have at most {LARGEST:,} pixels; save it smaller, or leave it out")


def resized(image: torch.Tensor, size: int) -> torch.Tensor:
    """`(3, H, W)` uint8 squeezed to `(3, size, size)`, antialiased."""
    result: torch.Tensor = transforms.resize(image, [size, size], antialias=True)
    return result


def _decode_jpeg(data: bytes) -> torch.Tensor:
    encoded = torch.frombuffer(bytearray(data), dtype=torch.uint8)  # a copy, as torch knows no memory to read only
    image: torch.Tensor = decode_jpeg(encoded, mode=ImageReadMode.RGB, apply_exif_orientation=True)
    return image


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


@contextmanager
def _one_thread_an_image() -> Iterator[None]:
    """Torch's own threads inside each of ours would fight for the same cores. Also hushes Pillow on odd metadata."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    Image.init()  # not safe to happen in several threads at once
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(threads)
