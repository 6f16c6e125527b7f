"""Decoding image files: formats, colour modes, orientation, cropping and resizing."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from insects.images.reading import decode
from tests.support.image_cases import COLOUR, encoded

GREY = (97, 97, 97)


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [
        ("RGB", "JPEG", COLOUR),
        ("L", "JPEG", GREY),
        ("CMYK", "JPEG", COLOUR),
        ("RGB", "PNG", COLOUR),
        ("L", "PNG", GREY),
        ("LA", "PNG", GREY),
        ("RGBA", "PNG", COLOUR),
        ("P", "PNG", COLOUR),
        ("P", "GIF", COLOUR),
        ("RGB", "WEBP", COLOUR),
        ("RGB", "BMP", COLOUR),
        ("RGB", "TIFF", COLOUR),
    ],
)
def test_every_format_and_colour_mode_becomes_rgb(mode: str, kind: str, expected: tuple[int, ...]) -> None:
    image = decode(encoded(mode, kind), 16)
    assert image.dtype == np.uint8
    assert image.shape == (3, 16, 16)
    assert np.abs(image[:, 8, 8].astype(int) - expected).max() <= 3


def test_transparent_pixels_become_white_and_16_bits_become_8() -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(buffer, "PNG")
    assert decode(buffer.getvalue(), 8).min() == 255
    buffer = io.BytesIO()
    Image.fromarray(np.full((9, 9), 0x8123, np.uint16)).save(buffer, "PNG")
    assert np.unique(decode(buffer.getvalue(), 8)).tolist() == [0x81]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied(kind: str) -> None:
    picture = Image.new("RGB", (40, 40), (250, 0, 0))
    picture.paste((0, 0, 250), (0, 20, 40, 40))  # red above, blue below
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    buffer = io.BytesIO()
    picture.save(buffer, kind, exif=exif)
    red, _, blue = decode(buffer.getvalue(), 8).astype(int)
    assert (red[:, 5:] > 200).all()
    assert (blue[:, :3] > 200).all()


def test_wide_and_high_images_are_cropped_to_their_middle_square() -> None:
    for turn in (False, True):
        picture = Image.new("RGB", (60, 40), "white")
        picture.paste((200, 200, 200), (10, 0, 50, 40))
        buffer = io.BytesIO()
        (picture.transpose(Image.Transpose.ROTATE_90) if turn else picture).save(buffer, "PNG")
        assert np.unique(decode(buffer.getvalue(), 8)).tolist() == [200]


def test_jpeg_decoded_at_a_smaller_size_equals_one_decoded_whole() -> None:
    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    picture = coarse.resize((1200, 900), Image.Resampling.BICUBIC)
    small, whole = io.BytesIO(), io.BytesIO()
    picture.save(small, "JPEG", quality=95)
    picture.save(whole, "PNG")
    assert np.abs(decode(small.getvalue(), 32).astype(int) - decode(whole.getvalue(), 32)).mean() < 2
