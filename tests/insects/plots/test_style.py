"""Parts that all figures share: colours, names, headings, settings and PNG."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from insects.plots.style import LARGE, SMALLEST, class_colours, drawable, new_figure, png, write_heading
from tests.support.plot_cases import (
    decoded,
)


@pytest.mark.parametrize("count", [2, 5, 8, 9, 12, 100])
def test_colours_of_classes_differ(count: int) -> None:
    colours = class_colours(count)
    assert colours.shape == (count, 3)
    assert len(np.unique(colours, axis=0)) == count


def test_figure_does_not_follow_the_users_matplotlibrc(tmp_path: Path) -> None:
    script = """
import sys
from insects.plots.style import class_legend, clean_axes, figure_png, new_figure, write_heading
figure = new_figure()
axes = figure.add_axes((0.1, 0.1, 0.6, 0.6))
axes.plot([1, 2], [3, 4], label="line")
axes.set_title("a title")
clean_axes(axes)
class_legend(figure, ["a", "b"])
write_heading(figure, "Title", "subtitle")
sys.stdout.buffer.write(figure_png(figure))
"""

    def drawn(settings: str) -> bytes:
        (tmp_path / "matplotlibrc").write_text(settings)
        return subprocess.check_output([sys.executable, "-c", script], cwd=tmp_path)

    users = "text.usetex: True\naxes.facecolor: red\nfont.size: 30\nlines.linewidth: 9\nfont.family: serif\n"
    assert drawn(users) == drawn("")


def test_png_decodes_to_the_pixels_that_went_in() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=(37, 53, 4), dtype=np.uint8)
    np.testing.assert_array_equal(decoded(png(pixels)), pixels[..., :3])
    np.testing.assert_array_equal(decoded(png(pixels[..., :3])), pixels[..., :3])


def test_characters_without_a_glyph_become_boxes() -> None:
    assert drawable("Käfer 甲虫 ±", 20) == "Käfer □□ ±"


def test_a_heading_that_is_too_long_is_smaller() -> None:
    figure = new_figure()
    write_heading(figure, "short", "a long subtitle " * 6)
    assert [text.get_fontsize() for text in figure.texts] == [LARGE, SMALLEST]
    assert all(text.get_window_extent().x1 < 700 for text in figure.texts)
