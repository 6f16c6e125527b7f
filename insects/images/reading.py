"""Decoding image files to pixels with Pillow, in threads, without torch.

Why not torchvision's decoders: they are deprecated since 0.29 in favour of TorchCodec, take seconds to import, and end
the process with a segmentation fault at a PNG with damaged data (0.29.1: 1,672 of 1,800 files with bytes flipped or
overwritten, none of 600 truncated files, no JPEG). Pillow raises an error. It also decodes a JPEG at a half, a quarter
or an eighth of its size where that is enough, in half the time.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError, __version__, features

from insects.images.files import FORMATS, NO_MEMORY, Faults, OnImage, Unreadable, content, for_each, open_image

Pixels = NDArray[np.uint8]

LARGEST = 80_000_000
"""Most pixels of an image; more is a mistake or an attack, and would fill the memory."""

_OVERSAMPLING = 4  # decode a JPEG at 4 times the size or more: its scaled decoding can shift by half a pixel


def read_pixels(
    folder: Path,
    files: Sequence[str],
    size: int,
    on_image: OnImage | None = None,
    workers: int | None = None,
    digests: Sequence[str | None] | None = None,
) -> tuple[Pixels, Faults]:
    """Decode the middle squares of image files.

    Args:
        folder: The image folder.
        files: File names relative to it.
        size: Side of the resized square in pixels.
        on_image: Called after each file.
        workers: Threads; None: one per core.
        digests: Hex SHA-256 of the expected content of each file; None: any content.

    Returns:
        Pixels `(N, 3, size, size)` uint8 RGB, black for a file that cannot be decoded; and the errors of those files.
    """
    known = dict(zip(files, digests, strict=True)) if digests else {}
    Image.init()  # Pillow would do it in every thread on first use, which is not thread-safe
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of unusual metadata
        images, faults = for_each(
            lambda name: decode(content(folder, name, known.get(name)), size), files, on_image, workers
        )
    pixels = np.zeros((len(files), 3, size, size), np.uint8)
    for row, image in enumerate(images):
        if image is not None:
            pixels[row] = image
    return pixels, faults


def decode(data: bytes, size: int) -> Pixels:
    """Decode the middle square of an image, resized with antialiasing.

    The image is rotated by its EXIF orientation. Transparent pixels become white, 16 bits become 8, and an animation
    gives its first frame. `insects.model.ImageFeatures` does the same to a tensor. Cropping was the most accurate on
    specimens that were not in training (drawn insects, 4 to 3): 77 % correct, with squeezing 67 %, with padding 61 %.

    Args:
        data: Content of the file.
        size: Side of the resized square in pixels.

    Returns:
        `(3, size, size)` uint8 RGB.

    Raises:
        ValueError: The content is not an image, is damaged, or is too large. The text is the reason.
        Unreadable: There is not enough memory.
    """
    if not data:
        raise ValueError("is empty; copy it again, or leave it out")
    try:
        with open_image(data) as image:
            if image.width * image.height <= LARGEST:
                image.draft("RGB", (_OVERSAMPLING * size, _OVERSAMPLING * size))
                ImageOps.exif_transpose(image, in_place=True)
                return _square(_rgb(image), size)
    except Image.DecompressionBombError:
        pass  # Pillow's own limit; reported below like ours
    except UnidentifiedImageError:
        raise ValueError(
            f"is not an image in an accepted format ({', '.join(FORMATS)}); save it in one, or leave it out"
        ) from None
    except MemoryError:
        raise Unreadable(NO_MEMORY) from None
    except Exception as error:  # damaged content can raise anything in a decoder
        reason = str(error).partition("\n")[0][:80] or type(error).__name__
        raise ValueError(f"is damaged: {reason}; copy it again, or leave it out") from None
    raise ValueError(f"must have at most {LARGEST:,} pixels; save it smaller, or leave it out")


def decoders() -> str:
    """Versions of Pillow and its codecs: another version may give other pixels."""
    codecs = ("jpg", "libjpeg_turbo", "jpg_2000", "libtiff", "webp", "avif")
    return " ".join([f"pillow {__version__}", *(f"{codec} {features.version(codec)}" for codec in codecs)])


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits: Pillow's `convert` would clip them at 255
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _square(image: Image.Image, size: int) -> Pixels:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    # Pillow's bilinear filter antialiases, as torch's does with antialias=True.
    small = square.resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))
