"""The two lines above a trial's figure, written straight into its pixels.

matplotlib takes 6 ms for a line of text it has not drawn before, as much as for all the rest; Pillow takes 0.5 ms
for the same font, matplotlib's own DejaVu Sans.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from insects.plots.style import INK, LARGE, MUTED, NORMAL, SMALLEST, Pixels, copy_rgb

_LEFT, _ASCENT, _DESCENT = 14, 17, 7
_PIXELS_A_POINT = 100 / 72


class Heading:
    """Title in bold, and below it a line in grey."""

    def __init__(self) -> None:
        self._lines = [("DejaVuSans-Bold.ttf", LARGE, INK, 27), ("DejaVuSans.ttf", NORMAL, MUTED, 52)]

    def write(self, pixels: Pixels, title: str, subtitle: str) -> None:
        """Onto `pixels` `(height, width, 3 or 4)`, white where the lines go.

        A line that is too long is smaller, and then cut at the edge.
        """
        for text, (face, size, colour, baseline) in zip((title, subtitle), self._lines, strict=True):
            area = pixels[baseline - _ASCENT : baseline + _DESCENT, _LEFT:, :3]
            text = " ".join(text.split())
            font = _font(face, size)
            if font.getlength(text) > area.shape[1] - 4:
                font = _font(face, SMALLEST)
            line = Image.new("RGB", (area.shape[1], area.shape[0]), "white")
            ImageDraw.Draw(line).text((0, _ASCENT), text, colour, font, anchor="ls")
            copy_rgb(np.asarray(line), area)


@cache
def _font(face: str, points: float) -> ImageFont.FreeTypeFont:
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
    # The basic layout is in every build of Pillow, so figures do not depend on which one is installed.
    return ImageFont.truetype(fonts / face, points * _PIXELS_A_POINT, layout_engine=ImageFont.Layout.BASIC)
