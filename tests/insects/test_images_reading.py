"""Image files: what becomes of each kind, and the features of a set."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from insects.images.reading import decode
from tests.insects.image_cases import COLOUR, encoded, load, make_set

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
def test_every_kind_of_image_becomes_rgb(mode: str, kind: str, expected: tuple[int, ...]) -> None:
    image = decode(encoded(mode, kind), 16)
    assert image.dtype == np.uint8
    assert image.shape == (3, 16, 16)
    assert np.abs(image[:, 8, 8].astype(int) - expected).max() <= 3


def test_transparent_pixels_become_white_and_sixteen_bits_eight() -> None:
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


def test_middle_square_is_taken_of_wide_and_of_high_images() -> None:
    for turn in (False, True):
        picture = Image.new("RGB", (60, 40), "white")
        picture.paste((200, 200, 200), (10, 0, 50, 40))
        buffer = io.BytesIO()
        (picture.transpose(Image.Transpose.ROTATE_90) if turn else picture).save(buffer, "PNG")
        assert np.unique(decode(buffer.getvalue(), 8)).tolist() == [200]


def test_jpeg_decoded_small_is_as_good_as_decoded_whole() -> None:
    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), dtype=np.uint8))
    picture = coarse.resize((1200, 900), Image.Resampling.BICUBIC)
    small, whole = io.BytesIO(), io.BytesIO()
    picture.save(small, "JPEG", quality=95)
    picture.save(whole, "PNG")
    assert np.abs(decode(small.getvalue(), 32).astype(int) - decode(whole.getvalue(), 32)).mean() < 2


def test_features_are_the_pixels_of_the_rows_in_their_order(tmp_path: Path) -> None:
    images = load(make_set(tmp_path), tmp_path)
    assert images.table.x.shape == (4, 3 * 8 * 8)
    assert np.abs(images.table.x[:, :64].mean(axis=1) - [0, 60, 120, 180]).max() < 3
    assert images.table.features[64] == "green 0,0"
    np.testing.assert_array_equal(images.pixels.reshape(4, -1), images.table.x)


def test_reading_needs_neither_torch_nor_torchvision() -> None:
    program = "import sys, insects.images.features; print(*{'torch', 'torchvision'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "\n"
