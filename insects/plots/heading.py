"""The two lines above a trial's figure, written straight into its pixels.

matplotlib takes 6 ms for a line of text it has not drawn before, as much as for all the rest; Pillow takes 0.5 ms
for the same font, matplotlib's own DejaVu Sans.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from insects.plots.style import INK, LARGE, MUTED, NORMAL, Pixels, copy_rgb

_LEFT, _ASCENT, _DESCENT = 14, 17, 7
_PIXELS_A_POINT = 100 / 72


class Heading:
    """Title in bold, and below it a line in grey."""

    def __init__(self) -> None:
        fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
        self._lines = [
            (_font(fonts / "DejaVuSans-Bold.ttf", LARGE), INK, 27),
            (_font(fonts / "DejaVuSans.ttf", NORMAL), MUTED, 52),
        ]

    def write(self, pixels: Pixels, title: str, subtitle: str) -> None:
        """Onto `pixels` `(height, width, 3 or 4)`, white where the lines go; what is too long is cut at the edge."""
        for text, (font, colour, baseline) in zip((title, subtitle), self._lines, strict=True):
            area = pixels[baseline - _ASCENT : baseline + _DESCENT, _LEFT:, :3]
            line = Image.new("RGB", (area.shape[1], area.shape[0]), "white")
            ImageDraw.Draw(line).text((0, _ASCENT), " ".join(text.split()), colour, font, anchor="ls")
            copy_rgb(np.asarray(line), area)


def _font(path: Path, points: float) -> ImageFont.FreeTypeFont:
    # The basic layout is in every build of Pillow, so figures do not depend on which one is installed.
    return ImageFont.truetype(path, points * _PIXELS_A_POINT, layout_engine=ImageFont.Layout.BASIC)
