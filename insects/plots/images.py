"""Figures of images: samples of each class, and the images that a model gets wrong.

Shapes: M images shown, N images in total, S image size, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from insects.plots.style import (
    INK,
    LARGE,
    SMALL,
    VALID,
    Pixels,
    default_settings,
    drawable,
    fit,
    new_figure,
    write_heading,
)

MOST_CLASSES, MOST_MISTAKES = 12, 25

_TILE, _GAP, _MARGIN, _HEAD, _LINE = 136, 6, 14, 68, 20  # pixels, a hundred to an inch
_COLUMNS = 5


@default_settings()
def sample_grid(
    pixels_M3SS: Pixels, y_M: NDArray[np.integer], y_N: NDArray[np.integer], classes: Sequence[str]
) -> Figure:
    """A row of sample images for each class, under the class's name and number of images.

    Args:
        pixels_M3SS: `(M, 3, S, S)` uint8, images to show; at most 5 of a class and 12 classes are drawn.
        y_M: `(M,)` their classes.
        y_N: `(N,)` the classes of all images.
        classes: Class names.

    Raises:
        ValueError: There is no image to show, or another number of classes.
    """
    if not len(pixels_M3SS) or len(pixels_M3SS) != len(y_M):
        raise ValueError(f"a class for each of at least one image, found {len(y_M)} for {len(pixels_M3SS)}")
    shown = np.unique(y_M)[:MOST_CLASSES]
    rows_of = [np.flatnonzero(y_M == code)[:_COLUMNS] for code in shown]
    places = [(line, column) for line, rows in enumerate(rows_of) for column in range(len(rows))]
    figure, axes = _mosaic([pixels_M3SS[row] for rows in rows_of for row in rows], places, _LINE)
    for line, code in enumerate(shown):
        x, y = _corner(line, 0, _LINE)
        text = f"{drawable(classes[code], 48)}: {np.count_nonzero(y_N == code):,} images"
        axes.text(x, y - _LINE / 2, text, fontsize=SMALL, color=INK, va="center", parse_math=False)
    of_all = "" if len(shown) == len(classes) else f"the first {len(shown)} of {len(classes)} classes, "
    write_heading(figure, "sample images", f"{of_all}{len(y_N):,} images in all")
    return figure


@default_settings()
def mistakes_grid(
    read: Callable[[NDArray[np.intp]], Pixels],
    y_N: NDArray[np.integer],
    logits_NC: NDArray[np.floating],
    classes: Sequence[str],
    title: str,
    images: str = "images",
) -> Figure:
    """The images that the model takes for another class, with both names; its most confident mistakes come first.

    Args:
        read: Positions `(M,)` of images to their pixels `(M, 3, S, S)`; called once, for the images that are shown.
        y_N: `(N,)` true classes.
        logits_NC: `(N, C)` float.
        classes: Class names.
        title: First line of the heading.
        images: What the images are called in the heading.

    Raises:
        ValueError: The arrays disagree on N, or N is 0.
    """
    if not len(y_N) == len(logits_NC) > 0:
        raise ValueError(f"a class for each row of logits and at least one, found {len(y_N)} for {len(logits_NC)}")
    predicted_N = logits_NC.argmax(axis=1)
    odds_N = logits_NC.max(axis=1) - np.take_along_axis(logits_NC, y_N[:, None].astype(np.intp), axis=1)[:, 0]
    wrong = np.flatnonzero(predicted_N != y_N)
    if not len(wrong):
        return _without_mistakes(title, f"none of {len(y_N):,} {images} is wrong")
    shown = wrong[np.argsort(-odds_N[wrong], kind="stable")][:MOST_MISTAKES]
    places = [divmod(number, _COLUMNS) for number in range(len(shown))]
    figure, axes = _mosaic(read(shown), places, 2 * _LINE)
    for place, row in zip(places, shown, strict=True):
        x, y = _corner(*place, 2 * _LINE)
        for above, name, colour in ((1.5, classes[y_N[row]], INK), (0.5, f"→ {classes[predicted_N[row]]}", VALID)):
            text = axes.text(x, y - above * _LINE, "", fontsize=SMALL, color=colour, va="center", parse_math=False)
            fit(text, name, _TILE)
    part = "" if len(shown) == len(wrong) else f"; the {len(shown)} most confident"
    count = f"{len(wrong):,} of {len(y_N):,} {images} wrong"
    write_heading(figure, title, f"{count}: true class → predicted class{part}")
    return figure


def _without_mistakes(title: str, statement: str) -> Figure:
    figure = new_figure(_corner(0, _COLUMNS, 0)[0] / 100, 3)
    write_heading(figure, title, "")
    figure.text(0.5, 0.45, statement, fontsize=LARGE, color=INK, ha="center", va="center")
    return figure


def _mosaic(tiles: Sequence[Pixels] | Pixels, places: Sequence[tuple[int, int]], above: int) -> tuple[Figure, Any]:
    """A figure of tiles `(3, S, S)` at places (line, column), with `above` pixels over each, and its axes in pixels."""
    lines = 1 + max((line for line, _ in places), default=-1)
    width, height = _corner(lines, _COLUMNS, 0)[0] - _GAP + _MARGIN, _corner(lines, 0, above)[1] - above
    page = np.full((height, width, 3), 255, np.uint8)
    for tile, place in zip(tiles, places, strict=True):
        left, top = _corner(*place, above)
        image = Image.fromarray(np.ascontiguousarray(tile.transpose(1, 2, 0)))
        page[top : top + _TILE, left : left + _TILE] = np.asarray(
            image.resize((_TILE, _TILE), Image.Resampling.BICUBIC)
        )
    # All tiles are one image on one axes: an axes for each tile would take seconds.
    figure = new_figure(width / 100, height / 100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(page, interpolation="nearest", aspect="auto")
    return figure, axes


def _corner(line: int, column: int, above: int) -> tuple[int, int]:
    """Left and top of a tile, in pixels of the page."""
    return _MARGIN + column * (_TILE + _GAP), _HEAD + line * (above + _TILE + _GAP) + above
