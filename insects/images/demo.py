"""The demo images: drawn insects of four species, with several specimens of each and several frames of each specimen.

A species has its own shape of body and wings and its own bands. A specimen has its own size, colours, pose, background
and light; its frames differ by a small shift and noise. So a model that was trained on other frames of a specimen can
recognize it by its colours, and a model that was not must recognize the species.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 160, 120
SPECIMENS, FRAMES = 12, 6
"""Specimens per species, and frames per specimen."""

_SCALE = 2  # drawn at twice the size and scaled down, for smooth edges
_MARGIN, _SHIFT = 8, 3  # pixels around a drawing, and the largest shift of a frame

Colour = tuple[int, int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Species:
    """How a species is drawn. Lengths are relative to the length of the body.

    Attributes:
        name: Class name.
        breadth: Breadth of the abdomen.
        waist: Breadth of the waist.
        wing: Length and breadth of a wing.
        sweep: Angle of the wings in degrees; 90 is at a right angle to the body.
        bands: Dark bands on the abdomen.
        colour: RGB of the body.
    """

    name: str
    breadth: float
    waist: float
    wing: tuple[float, float]
    sweep: float
    bands: int
    colour: Colour


SPECIES = (
    Species("Rufa demonstrans", breadth=0.46, waist=0.40, wing=(0.62, 0.24), sweep=55, bands=0, colour=(176, 92, 44)),
    Species("Vespula exempli", breadth=0.34, waist=0.12, wing=(0.70, 0.20), sweep=40, bands=4, colour=(196, 152, 52)),
    Species("Tenuis ficta", breadth=0.18, waist=0.14, wing=(0.74, 0.16), sweep=88, bands=2, colour=(84, 66, 58)),
    Species("Lata imaginaria", breadth=0.36, waist=0.30, wing=(0.66, 0.50), sweep=70, bands=3, colour=(138, 112, 92)),
)


def make_demo(folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """Draw the demo images. The CSV file is written last: if it exists, the set is complete.

    Args:
        folder: Where to write; created if it does not exist.
        seed: Seed of the drawings.

    Returns:
        The annotations CSV (columns `sample,species,filename`) and the folder of its JPEG images.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    generator = Generator(np.random.PCG64(seed))
    rows = []
    for number in range(SPECIMENS * len(SPECIES)):
        species = SPECIES[number % len(SPECIES)]
        sample = f"{number + 1:04d}_1"
        specimen = _draw_specimen(species, generator)
        for frame in range(FRAMES):
            filename = f"{sample}_{frame + 1:03d}.jpg"
            with _atomic_file(images / filename) as file:
                _photograph(specimen, generator).save(file, "JPEG", quality=88)
            rows.append((sample, species.name, filename))
    annotations = folder / "insects.csv"
    with _atomic_file(annotations) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        csv.writer(text, lineterminator="\n").writerows([("sample", "species", "filename"), *rows])
        text.detach()
    return annotations, images


@contextmanager
def _atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file under another name and rename it once it is on disk, so that a kill leaves no half file."""
    unfinished = path.with_suffix(".part")
    with open(unfinished, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


def _draw_specimen(species: Species, generator: Generator) -> Image.Image:
    """An insect on its leaf, without noise, with a margin for shifts."""
    size = (_SCALE * (WIDTH + 2 * _MARGIN), _SCALE * (HEIGHT + 2 * _MARGIN))
    picture = _draw_leaf(size, generator)
    insect = _draw_insect(species, _SCALE * HEIGHT * generator.uniform(0.54, 0.66), generator)
    insect = insect.rotate(generator.normal(0, 7), resample=Image.Resampling.BILINEAR)
    left, top = ((np.array(size) - insect.size) / 2 + generator.uniform(-4, 4, 2) * _SCALE).astype(int).tolist()
    shadow = Image.new("RGBA", insect.size)
    shadow.putalpha(insect.getchannel("A").point(lambda alpha: alpha // 3).filter(ImageFilter.GaussianBlur(6)))
    picture.paste(shadow, (left + 10, top + 12), shadow)
    picture.paste(insect, (left, top), insect)
    return picture.resize((size[0] // _SCALE, size[1] // _SCALE), Image.Resampling.LANCZOS)


def _draw_leaf(size: tuple[int, int], generator: Generator) -> Image.Image:
    """A background of one colour with a gradient of light, and veins."""
    ground = _between((118, 140, 88), (190, 180, 140), generator)
    left, right = generator.uniform(0.9, 1.1, 2)
    slope = np.linspace(left, right, size[0])
    picture = Image.fromarray(np.broadcast_to(ground * slope[:, None], (size[1], size[0], 3)).clip(0, 255).astype("u1"))
    pen, vein = ImageDraw.Draw(picture), _colour(ground * 0.88)
    stem, lean = generator.uniform(0, size[0]), generator.uniform(-0.5, 0.5) * size[0]
    pen.line([(stem, 0), (stem + lean, size[1])], vein, 4 * _SCALE)
    for height in np.linspace(-0.4, 1, 6) * size[1]:
        middle = stem + lean * height / size[1]
        for side in (-1, 1):
            pen.line([(middle, height), (middle + side * size[0], height + 0.5 * size[0])], vein, _SCALE)
    return picture


def _draw_insect(species: Species, length: float, generator: Generator) -> Image.Image:
    """An insect, head up, in the middle of a transparent square."""
    centre = round(1.2 * length)
    image = Image.new("RGBA", (2 * centre, 2 * centre))
    body = np.array(species.colour) * generator.uniform(0.7, 1.2) + generator.normal(0, 14, 3)
    band = body * generator.uniform(0.2, 0.45)
    dark, own = _colour(body * 0.4), generator.uniform(0.85, 1.15, 4)
    breadth, waist = length * species.breadth * own[0], length * species.waist * own[1]

    _draw_legs(ImageDraw.Draw(image), centre, length, dark)
    _draw_wings(image, length * species.wing[0] * own[2], length * species.wing[1] * own[3], species.sweep, generator)
    pen = ImageDraw.Draw(image)
    pen.rectangle((centre - waist / 2, centre - 0.10 * length, centre + waist / 2, centre + 0.06 * length), dark)
    abdomen = _ellipse(centre, centre + 0.24 * length, breadth, 0.56 * length)
    image.paste(
        _striped(image.size, abdomen, _colour(body), _colour(band), species.bands), mask=_inside(image, abdomen)
    )
    pen.ellipse(_ellipse(centre, centre - 0.17 * length, 0.7 * breadth + 0.08 * length, 0.28 * length), dark)
    pen.ellipse(_ellipse(centre, centre - 0.38 * length, 0.4 * breadth + 0.10 * length, 0.18 * length), dark)
    return image


def _draw_legs(pen: ImageDraw.ImageDraw, centre: float, length: float, colour: Colour) -> None:
    """Six legs and two antennae."""
    thick = int(0.02 * length) + 1
    for side in (-1, 1):
        for lift in (-0.30, 0.0, 0.28):
            knee = (centre + side * 0.26 * length, centre + (lift - 0.14) * length)
            foot = (centre + side * 0.38 * length, centre + (lift + 0.06) * length)
            pen.line([(centre, centre - 0.14 * length), knee, foot], colour, thick)
        tip = (centre + side * 0.18 * length, centre - 0.66 * length)
        pen.line([(centre, centre - 0.40 * length), tip], colour, thick)


def _draw_wings(image: Image.Image, length: float, breadth: float, sweep: float, generator: Generator) -> None:
    """A pair of wings, each an ellipse with one end at the thorax."""
    centre = image.width / 2
    colour = (*_colour(_between((175, 150, 110), (235, 240, 245), generator)), int(generator.uniform(110, 190)))
    for side in (-1, 1):
        wing = Image.new("RGBA", image.size)
        pen = ImageDraw.Draw(wing)
        pen.ellipse(_ellipse(centre, centre + length / 2, breadth, length), colour, (60, 50, 40, 200), width=_SCALE)
        pen.line([(centre, centre), (centre, centre + length)], (60, 50, 40, 160), _SCALE)
        turned = wing.rotate(side * sweep, Image.Resampling.BILINEAR, center=(centre, centre))
        image.alpha_composite(turned)


def _striped(size: tuple[int, int], box: Box, body: Colour, band: Colour, bands: int) -> Image.Image:
    """An image of the body's colour with bands across the box."""
    sheet = Image.new("RGBA", size, body)
    step = (box[3] - box[1]) / (bands + 1)
    for number in range(bands):
        top = box[1] + (number + 0.75) * step
        ImageDraw.Draw(sheet).rectangle((box[0], top, box[2], top + 0.45 * step), band)
    return sheet


def _inside(image: Image.Image, box: Box) -> Image.Image:
    """A mask of the ellipse in the box."""
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).ellipse(box, 255)
    return mask


def _photograph(specimen: Image.Image, generator: Generator) -> Image.Image:
    """A frame of a specimen: shifted by some pixels, slightly brighter or darker, with noise."""
    left, top = generator.integers(0, 2 * _SHIFT + 1, 2) + _MARGIN - _SHIFT
    pixels = np.asarray(specimen.crop((left, top, left + WIDTH, top + HEIGHT)), np.float64)
    noisy = pixels * generator.uniform(0.95, 1.05) + generator.normal(0, 6, pixels.shape)
    return Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))


def _ellipse(x: float, y: float, width: float, height: float) -> Box:
    """The bounding box of an ellipse, from its centre and its axes."""
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _between(first: Colour, last: Colour, generator: Generator) -> NDArray[np.float64]:
    """A random mixture of two colours, with noise."""
    share = generator.random()
    return np.asarray((1 - share) * np.array(first) + share * np.array(last) + generator.normal(0, 9, 3))


def _colour(values: NDArray[np.float64]) -> Colour:
    red, green, blue = values.clip(0, 255).astype(int).tolist()
    return red, green, blue
