"""Image files, and a small annotated set of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from insects.images.annotations import read_annotations
from insects.images.features import FeatureRecipe, ImageSet, load_images

COLOUR = (200, 60, 20)


def encoded(mode: str, kind: str, **options: Any) -> bytes:
    """An image file of 60 by 40 pixels in `COLOUR`."""
    buffer = io.BytesIO()
    image = Image.new("RGB", (60, 40), COLOUR)
    (image.quantize() if mode == "P" else image.convert(mode)).save(buffer, kind, **options)
    return buffer.getvalue()


def file_with(data: bytes) -> Callable[[Path], object]:
    """A function that writes a file."""
    return lambda path: path.write_bytes(data)


def make_set(tmp_path: Path, bad: Callable[[Path], object] | None = None) -> tuple[Path, Path]:
    """Four good images of two classes; `bad` makes a fifth one, on line 4 of the annotations."""
    folder = tmp_path / "set" / "images"
    folder.mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(encoded("RGB", "JPEG"))
    for number in range(4):
        Image.new("RGB", (20, 20), (60 * number, 0, 0)).save(folder / f"{number}.jpg")
    names = ["0.jpg", "1.jpg", *(["bad.jpg"] if bad else []), "2.jpg", "3.jpg"]
    if bad:
        bad(folder / "bad.jpg")
    path = tmp_path / "set" / "insects.csv"
    path.write_text("filename,species\n" + "".join(f"{name},{'ab'[place % 2]}\n" for place, name in enumerate(names)))
    return path, folder


def load(files: tuple[Path, Path], tmp_path: Path, **options: Any) -> ImageSet:
    """Load a set at 8 by 8 pixels with a cache in `tmp_path`."""
    return load_images(read_annotations(*files), FeatureRecipe(8), tmp_path / "cache", **options)
