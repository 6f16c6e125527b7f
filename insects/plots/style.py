"""What all figures share: settings, colours, fonts, legends, headings, layers, PNG and SVG."""

from __future__ import annotations

import colorsys
import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray

from insects.text import shortened

Pixels = NDArray[np.uint8]

INK, MUTED, GRID, UNKNOWN = "#1a1a1a", "#5c5c5c", "#d9d9d9", "#9a9a9a"
TRAIN, VALID = "#0072B2", "#D55E00"
SMALL, NORMAL, LARGE = 10, 11, 12.5
"""Font sizes in points, at 100 dpi still legible in MLflow's UI, which scales figures down to 300 pixels."""
SMALLEST = 9
"""Font size of a heading that would not fit otherwise."""

# Okabe and Ito, Color Universal Design (2008), the most different ones first; grey for black, which is for marks.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#555555")
# Twelve more, found by a search: each is as far as possible (CIEDE2000) from all before it, white, black and grey.
CLASS_COLOURS = (
    *OKABE_ITO,
    *("#780C00", "#9C0060", "#00FC54", "#006000", "#303078", "#9C3CFC"),
    *("#6CF0E4", "#FCB49C", "#84900C", "#785400", "#FC1848", "#CCC0FC"),
)
RARE = 0.05
"""Share of the rows up to which a class is rare: its dots would be lost below those of the others."""
LEGEND_CLASSES = 12
"""Classes that a legend names if not all have room."""
LEGEND_ROOM = 134
"""Pixels from the start of a name in the legend to the edge of the figure."""


# Without the backend: reading it would choose one, and these figures have a canvas of their own.
_DEFAULTS: dict[Any, Any] = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}


@contextmanager
def default_settings() -> Iterator[None]:
    """Apply matplotlib's default settings inside, and restore the caller's afterwards.

    All functions that make or draw a figure are decorated with it: a user's matplotlibrc could ask for LaTeX, and the
    figures of one study would differ between two users. The settings belong to the process, so figures are for one
    thread at a time, as matplotlib is.
    """
    changed = {name: value for name, value in _DEFAULTS.items() if mpl.rcParams[name] != value}
    if not changed:  # the usual case, and 0.3 ms cheaper than a context
        yield
        return
    with mpl.rc_context(changed):
        yield


def class_colours(count: int) -> Pixels:
    """Colours `(count, 3)` of the classes; up to 20 classes any two can be told apart."""
    if count <= len(CLASS_COLOURS):
        colours = [[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in CLASS_COLOURS[:count]]
        return np.array(colours, np.uint8)
    # Round the circle of hues; three lightnesses in turn, so that classes next to each other differ.
    circle = [colorsys.hls_to_rgb(code / count, (0.3, 0.5, 0.7)[code % 3], 0.8) for code in range(count)]
    return np.round(255 * np.array(circle)).astype(np.uint8)


def rare_last(y_N: NDArray[np.integer]) -> NDArray[np.intp]:
    """The order in which rows are drawn: as they come, but those of rare classes last, on top of the others."""
    return np.argsort(np.bincount(y_N)[y_N] < RARE * len(y_N), kind="stable")


def drawable(name: str, length: int) -> str:
    """`name` in at most `length` characters; characters that the font lacks (it has no CJK) become boxes."""
    return "".join(char if ord(char) in _glyphs() else "□" for char in shortened(name, length))


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def new_figure(width: float = 7, height: float = 5) -> Figure:
    """A white figure of `width` x `height` inches at 100 dpi, with its own Agg canvas."""
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def clean_axes(axes: Any) -> None:
    """Give axes the look of all figures: thin grey spines at the left and bottom, short ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=SMALL, length=3)


def class_legend(
    figure: Figure, classes: Sequence[str], extra: Sequence[Line2D] = (), where: tuple[float, float] = (0.77, 0.86)
) -> Legend:
    """Draw the legend right of the axes.

    Args:
        figure: Where to draw.
        classes: Class names; of many, some are named and the others counted.
        extra: Further entries, with their labels.
        where: Upper left corner, in shares of the figure.
    """
    colours = class_colours(len(classes)) / 255
    count = len(classes)
    # One class too many is named all the same: the line that counts it would take the same room.
    shown = (
        range(count) if count <= LEGEND_CLASSES + 1 else np.linspace(0, count - 1, LEGEND_CLASSES).round().astype(int)
    )
    handles = [
        Line2D([], [], linestyle="", marker="s", markersize=9, color=tuple(colours[c]), label=classes[c]) for c in shown
    ]
    if len(shown) < count:
        handles.append(Line2D([], [], linestyle="", label=f"… and {count - len(shown)} more"))
    handles += extra
    # Names are set afterwards: a legend drops labels that begin with an underscore, and reads $ as math.
    legend = figure.legend(
        handles,
        [" "] * len(handles),
        loc="upper left",
        bbox_to_anchor=where,
        frameon=False,
        fontsize=SMALL,
        handlelength=1.0,
        handletextpad=0.5,
        borderpad=0,
        borderaxespad=0,
        labelspacing=0.45,
        title="class",
        title_fontsize=SMALL,
        alignment="left",
    )
    for text, handle in zip(legend.get_texts(), handles, strict=True):
        text.set_parse_math(False)
        text.set_color(INK)
        fit(text, str(handle.get_label()), LEGEND_ROOM)
    return legend


def fit(text: Text, name: str, room: float) -> None:
    """Set the text to `name`, shortened until it is at most `room` pixels wide."""
    for length in range(24, 1, -1):
        text.set_text(drawable(name, length))
        if text.get_window_extent().width <= room:
            return


def text_width(figure: Figure, text: str, size: float) -> float:
    """Width in pixels of `text` at `size` points."""
    artist = figure.text(0, 0, text, fontsize=size)
    width = artist.get_window_extent().width
    artist.remove()
    return float(width)


def write_heading(figure: Figure, title: str, subtitle: str) -> tuple[Text, Text]:
    """Write a bold title and a grey line below it at the upper left, smaller if they are too long; return both."""
    width, height = figure.get_size_inches()
    left, first, second = 0.14 / width, 1 - 0.27 / height, 1 - 0.52 / height
    lines = (
        figure.text(left, first, title, fontsize=LARGE, fontweight="bold", color=INK, parse_math=False),
        figure.text(left, second, subtitle, fontsize=NORMAL, color=MUTED, parse_math=False),
    )
    for line in lines:
        if line.get_window_extent().x1 > 100 * width - 4:
            line.set_fontsize(SMALLEST)
    return lines


class LayeredFigure:
    """A figure whose still artists are drawn once, and whose animated artists are drawn on top each time.

    All artists take some 50 ms to draw, a line on top of a copy of the still ones well below one.

    Attributes:
        pixels: `(height, width, 4)`, the memory that is drawn into; it may be written to.
    """

    def __init__(self, figure: Figure) -> None:
        self._canvas = cast(Any, FigureCanvasAgg(figure))  # its methods have no types
        self._renderer = self._canvas.get_renderer()
        self.pixels: Pixels = np.asarray(self._renderer.buffer_rgba())

    def draw_still(self) -> Pixels:
        """Draw all artists except the animated ones; returns a copy of the pixels."""
        self._canvas.draw()
        return self.pixels.copy()

    def draw_over(self, artists: Sequence[Artist]) -> None:
        """Draw `artists` on top of the present pixels."""
        for artist in artists:
            artist.draw(self._renderer)


@default_settings()
def figure_png(figure: Figure) -> bytes:
    """A whole figure as PNG."""
    return png(LayeredFigure(figure).draw_still())


@default_settings()
def figure_svg(figure: Figure) -> bytes:
    """A whole figure as SVG; its text stays text, and the same figure gives the same bytes."""
    file = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "insects"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def svg_with_heading(figure: Figure, title: str, subtitle: str) -> bytes:
    """A figure as SVG with a heading that it does not keep; animated artists are drawn too."""
    lines = write_heading(figure, title, subtitle)
    try:
        return figure_svg(figure)
    finally:
        for line in lines:
            line.remove()


def png(pixels: Pixels) -> bytes:
    """Encode the RGB channels of opaque pixels `(height, width, 3 or 4)` as PNG (RFC 2083).

    It takes a third of the time of Pillow's fastest setting at the same size, because it uses one filter for all rows;
    Pillow tries five on each.
    """
    height, width, _ = pixels.shape
    differences = pixels.copy()
    np.subtract(pixels[1:], pixels[:-1], out=differences[1:])
    filtered = np.empty((height, 1 + width * 3), np.uint8)
    filtered[:, 0] = 2  # filter type "up"
    copy_rgb(differences, filtered[:, 1:].reshape(height, width, 3))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(filtered.data, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def copy_rgb(source: Pixels, target: Pixels) -> None:
    """Copy the RGB channels between pixels of the same size, with or without alpha."""
    # Channel by channel is five times faster than all three in one assignment.
    for channel in range(3):
        target[..., channel] = source[..., channel]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
