"""Logits on a grid to a map in colours. Shapes: C classes, H x W points of the grid, first row at the top."""

from __future__ import annotations

import numpy as np
from PIL import Image

from insects.mlp import Floats
from insects.plots.style import UNKNOWN, Pixels, class_colours

PALEST, STRONGEST = 0.12, 0.62  # how much of the class's colour is in the map, from chance to certainty
_SHADES = 32


class Painter:
    """Logits on a grid to colours: the class by hue, the largest probability by strength."""

    def __init__(self, classes: int) -> None:
        strength = np.linspace(PALEST, STRONGEST, _SHADES)[None, :, None]
        colours = class_colours(classes).astype(float)[:, None, :]
        # (C, shades, 3)
        self._shades = np.round(255 - (255 - colours) * strength).astype(np.uint8)
        self._unknown = np.array([int(UNKNOWN[i : i + 2], 16) for i in (1, 3, 5)], np.uint8)

    def colours(self, logits_CHW: Floats) -> Pixels:
        """`(H, W, 3)`; grey where a logit is not finite."""
        classes = len(logits_CHW)
        top_HW = logits_CHW.max(axis=0)
        finite_HW = np.isfinite(top_HW) & np.isfinite(logits_CHW.min(axis=0))
        with np.errstate(invalid="ignore", over="ignore"):
            confidence_HW = 1 / np.exp(logits_CHW - top_HW).sum(axis=0)
        chance = 1 / classes
        level_HW = np.where(finite_HW, (confidence_HW - chance) / max(1 - chance, chance), 0) * (_SHADES - 1)
        level_HW = np.clip(np.rint(level_HW), 0, _SHADES - 1).astype(np.intp)
        pixels = self._shades.reshape(-1, 3)[np.argmax(logits_CHW, axis=0) * _SHADES + level_HW]
        if not finite_HW.all():
            pixels[~finite_HW] = self._unknown
        return np.asarray(pixels, np.uint8)


def finer(logits_CHW: Floats) -> Floats:
    """Halve the spacing by linear interpolation, `(C, H, W)` to `(C, 2 H - 1, 2 W - 1)`.

    Between points of the grid a ReLU network is linear but for kinks, so its logits can be interpolated where its
    probabilities or colours could not.
    """
    classes, height, width = logits_CHW.shape
    fine = np.empty((classes, 2 * height - 1, 2 * width - 1), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        fine[:, ::2, ::2] = logits_CHW
        fine[:, ::2, 1::2] = (logits_CHW[:, :, :-1] + logits_CHW[:, :, 1:]) / 2
        fine[:, 1::2] = (fine[:, :-2:2] + fine[:, 2::2]) / 2
    return fine


def stretched(colours: Pixels, width: int, height: int) -> Pixels:
    """Colours at points of a grid to pixels, whose edges are the outermost points."""
    rows, columns, _ = colours.shape
    box = (0.5, 0.5, columns - 0.5, rows - 0.5)
    image = Image.fromarray(colours).resize((width, height), Image.Resampling.BILINEAR, box)
    return np.asarray(image, np.uint8)
