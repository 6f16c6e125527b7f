"""Colours of a decision map, from logits on a grid. Shapes: C classes, H x W grid points, first row at the top."""

from __future__ import annotations

import numpy as np
from PIL import Image

from insects.mlp import Floats
from insects.plots.style import UNKNOWN, Pixels, class_colours

PALEST, STRONGEST = 0.12, 0.62  # share of the class's colour in the map, at chance and at certainty
_SHADES = 32


class Painter:
    """Turns logits into colours: the class decides the hue, its probability the strength."""

    def __init__(self, classes: int) -> None:
        strength = np.linspace(PALEST, STRONGEST, _SHADES)[None, :, None]
        colours = class_colours(classes).astype(float)[:, None, :]
        # (C, _SHADES, 3), from the palest to the strongest shade of each class
        self._shades = np.round(255 - (255 - colours) * strength).astype(np.uint8)
        self._unknown = np.array([int(UNKNOWN[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)

    def colours(self, logits_CHW: Floats) -> Pixels:
        """Logits `(C, H, W)` to colours `(H, W, 3)`; grey where a logit is not finite."""
        classes = len(logits_CHW)
        top_HW = logits_CHW.max(axis=0)
        finite_HW = np.isfinite(top_HW) & np.isfinite(logits_CHW.min(axis=0))
        with np.errstate(invalid="ignore", over="ignore"):
            # softmax of the largest logit
            confidence_HW = 1 / np.exp(logits_CHW - top_HW).sum(axis=0)
        chance = 1 / classes
        level_HW = np.where(finite_HW, (confidence_HW - chance) / max(1 - chance, chance), 0) * (_SHADES - 1)
        level_HW = np.clip(np.rint(level_HW), 0, _SHADES - 1).astype(np.intp)
        pixels = self._shades.reshape(-1, 3)[np.argmax(logits_CHW, axis=0) * _SHADES + level_HW]
        if not finite_HW.all():
            pixels[~finite_HW] = self._unknown
        return np.asarray(pixels, np.uint8)


def finer(logits_CHW: Floats) -> Floats:
    """Halve the spacing of the grid by linear interpolation, `(C, H, W)` to `(C, 2 H - 1, 2 W - 1)`.

    A ReLU network is piecewise linear, so logits between grid points can be interpolated; probabilities or colours
    could not.
    """
    classes, height, width = logits_CHW.shape
    fine = np.empty((classes, 2 * height - 1, 2 * width - 1), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        fine[:, ::2, ::2] = logits_CHW
        fine[:, ::2, 1::2] = (logits_CHW[:, :, :-1] + logits_CHW[:, :, 1:]) / 2
        fine[:, 1::2] = (fine[:, :-2:2] + fine[:, 2::2]) / 2
    return fine


def stretched(colours: Pixels, width: int, height: int) -> Pixels:
    """Colours at grid points `(H, W, 3)` to pixels `(height, width, 3)`; the outermost points are at the edges."""
    rows, columns, _ = colours.shape
    box = (0.5, 0.5, columns - 0.5, rows - 0.5)
    image = Image.fromarray(colours).resize((width, height), Image.Resampling.BILINEAR, box)
    return np.asarray(image, np.uint8)
