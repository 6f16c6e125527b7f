"""Image files -> pixels by Pillow, on all cores; needs neither torch nor torchvision, which take seconds to import.

torchvision's decoders are deprecated since 0.29 in favour of TorchCodec, and end the whole process with a segmentation
fault at a PNG whose data is damaged: 0.29.1 at 1,672 of 1,800 with bytes flipped or overwritten, at none of 600 that
were cut short, and at no JPEG. Pillow refuses them, and has JPEG decoded at a half, a quarter or an eighth of its size
where that is enough, in half the time.
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
"""Pixels of an image; more is a slip or an attack, and would fill the memory."""

_AHEAD = 4  # a JPEG is decoded at this many times the size or more; a smaller one could shift by half of its pixels


def read_pixels(
    folder: Path,
    files: Sequence[str],
    size: int,
    on_image: OnImage | None = None,
    workers: int | None = None,
    digests: Sequence[str | None] | None = None,
) -> tuple[Pixels, Faults]:
    """Pixels `(N, 3, size, size)` uint8 RGB of the files, and for those that have none why, by position.

    A file without pixels stays black. digests: as `content` takes it, of each file.
    """
    known = dict(zip(files, digests, strict=True)) if digests else {}
    Image.init()  # not safe to happen in several threads at once
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's word on odd metadata
        images, faults = for_each(
            lambda name: decode(content(folder, name, known.get(name)), size), files, on_image, workers
        )
    pixels = np.zeros((len(files), 3, size, size), np.uint8)
    for row, image in enumerate(images):
        if image is not None:
            pixels[row] = image
    return pixels, faults


def decode(data: bytes, size: int) -> Pixels:
    """The middle square of an image file as `(3, size, size)` uint8 RGB, antialiased.

    Turned upright by its EXIF orientation. Transparent pixels become white, 16 bits become 8, and of a moving picture
    the first frame is taken. Cropped, not squeezed or padded: on specimens never seen, of drawn insects 4 to 3, that
    was right for 77 % of the images, squeezing for 67 %, padding for 61 %. `insects.model` does the same to raw
    images.
    Raises: ValueError: with the reason: the content is no image, not whole, or too large. Unreadable: the memory does
    not suffice.
    """
    if not data:
        raise ValueError("is empty; copy it anew, or leave it out")
    try:
        with open_image(data) as image:
            if image.width * image.height <= LARGEST:
                image.draft("RGB", (_AHEAD * size, _AHEAD * size))
                ImageOps.exif_transpose(image, in_place=True)
                return _square(_rgb(image), size)
    except Image.DecompressionBombError:
        pass  # Pillow's own word for too large
    except UnidentifiedImageError:
        raise ValueError(
            f"is no image of a kind that is read ({', '.join(FORMATS)}); save it as one, or leave it out"
        ) from None
    except MemoryError:
        raise Unreadable(NO_MEMORY) from None
    except Exception as error:  # at damaged content a decoder raises whatever it ran into
        reason = str(error).partition("\n")[0][:80] or type(error).__name__
        raise ValueError(f"is damaged: {reason}; copy it anew, or leave it out") from None
    raise ValueError(f"must have at most {LARGEST:,} pixels; save it smaller, or leave it out")


def decoders() -> str:
    """Versions of what decodes and resizes: another one may give other pixels."""
    codecs = ("jpg", "libjpeg_turbo", "jpg_2000", "libtiff", "webp", "avif")
    return " ".join([f"pillow {__version__}", *(f"{codec} {features.version(codec)}" for codec in codecs)])


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # Pillow would clip 16 bits at 255
        image = Image.fromarray((np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _square(image: Image.Image, size: int) -> Pixels:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    # Pillow's bilinear filter widens with the scale, as torch's does with antialias=True.
    small = square.resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))
