"""The title lines of a trial's figures, written into the pixels by Pillow.

matplotlib takes 6 ms for a line of text it has not drawn before, as much as for the rest of the figure; Pillow takes
0.5 ms for the same font, matplotlib's own DejaVu Sans.
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
    """Writes a title in bold and a grey line below it."""

    def __init__(self) -> None:
        self._lines = [("DejaVuSans-Bold.ttf", LARGE, INK, 27), ("DejaVuSans.ttf", NORMAL, MUTED, 52)]

    def write(self, pixels: Pixels, title: str, subtitle: str) -> None:
        """Write both lines. A line that is too long is smaller, and cut at the edge if still too long.

        Args:
            pixels: `(height, width, 3 or 4)`; overwritten with white where the lines are.
            title: The first line.
            subtitle: The second line.
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
    # Every build of Pillow has the basic layout, so figures do not depend on the build that is installed.
    return ImageFont.truetype(fonts / face, points * _PIXELS_A_POINT, layout_engine=ImageFont.Layout.BASIC)
