"""What all figures share: colours, names made fit to draw, a figure drawn in layers, PNG encoding."""

from __future__ import annotations

import colorsys
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
"""Font sizes in points: at 100 dpi still legible where the MLflow UI shows a figure at 300 pixels."""
SMALLEST = 9  # of a heading that would not fit otherwise

# Okabe and Ito, Color Universal Design (2008); the most different ones first, black in grey to leave it to the marks.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#555555")
# Twelve more, each as far as possible from all before it and from white, black and grey, by CIEDE2000: found by search.
CLASS_COLOURS = (
    *OKABE_ITO,
    *("#780C00", "#9C0060", "#00FC54", "#006000", "#303078", "#9C3CFC"),
    *("#6CF0E4", "#FCB49C", "#84900C", "#785400", "#FC1848", "#CCC0FC"),
)
LEGEND_CLASSES = 12
LEGEND_ROOM = 134  # pixels from where a name in the legend starts to the edge of the figure


@contextmanager
def default_settings() -> Iterator[None]:
    """Apply matplotlib's default settings inside, and restore the caller's afterwards.

    All functions that make or draw a figure are decorated with it: a user's matplotlibrc could ask for LaTeX, and the
    figures of one study would differ between two users. The settings belong to the process, so figures are for one
    thread at a time, as matplotlib is.
    """
    # The backend is left out: reading it would choose one, and figures here have a canvas of their own.
    changed: dict[Any, Any] = {
        name: value for name, value in mpl.rcParamsDefault.items() if name != "backend" and mpl.rcParams[name] != value
    }
    if not changed:  # a context costs 0.4 ms, finding out that none is needed 0.1 ms
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


def drawable(name: str, length: int) -> str:
    """`name` in at most `length` characters; those that the figures' font lacks (it has no CJK) become boxes."""
    return "".join(char if ord(char) in _glyphs() else "□" for char in shortened(name, length))


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(get_font(findfont("DejaVu Sans")).get_charmap())


def new_figure(width: float = 7, height: float = 5) -> Figure:
    """A white figure of `width` x `height` inches at 100 dots an inch, with its own Agg canvas."""
    figure = Figure(figsize=(width, height), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def clean_axes(axes: Any) -> None:
    """Thin grey frame without top and right edge, quiet ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=SMALL, length=3)


def class_legend(
    figure: Figure, classes: Sequence[str], extra: Sequence[Line2D] = (), where: tuple[float, float] = (0.77, 0.86)
) -> Legend:
    """Legend right of the axes: classes by colour (some of them, and how many more there are), and then `extra`."""
    colours = class_colours(len(classes)) / 255
    count = len(classes)
    # With one class too many for the cut, naming it takes no more room than saying that it is not named.
    shown = (
        range(count) if count <= LEGEND_CLASSES + 1 else np.linspace(0, count - 1, LEGEND_CLASSES).round().astype(int)
    )
    handles = [
        Line2D([], [], linestyle="", marker="s", markersize=9, color=tuple(colours[c]), label=classes[c]) for c in shown
    ]
    if len(shown) < count:
        handles.append(Line2D([], [], linestyle="", label=f"… and {count - len(shown)} more"))
    handles += extra
    # Names are set afterwards: a legend drops labels that begin with an underscore, and reads $ as mathematics.
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
    """Set `name`, shortened until it is at most `room` pixels wide."""
    for length in range(24, 1, -1):
        text.set_text(drawable(name, length))
        if text.get_window_extent().width <= room:
            return


def text_width(figure: Figure, text: str, size: float) -> float:
    """Pixels that `text` takes at `size` points."""
    artist = figure.text(0, 0, text, fontsize=size)
    width = artist.get_window_extent().width
    artist.remove()
    return float(width)


def write_heading(figure: Figure, title: str, subtitle: str) -> None:
    """Title in bold and a grey line below it, at the upper left; smaller where too long."""
    width, height = figure.get_size_inches()
    left, first, second = 0.14 / width, 1 - 0.27 / height, 1 - 0.52 / height
    lines = (
        figure.text(left, first, title, fontsize=LARGE, fontweight="bold", color=INK, parse_math=False),
        figure.text(left, second, subtitle, fontsize=NORMAL, color=MUTED, parse_math=False),
    )
    for line in lines:
        if line.get_window_extent().x1 > 100 * width - 4:
            line.set_fontsize(SMALLEST)


class LayeredFigure:
    """A figure whose still artists are drawn once, and whose animated ones are drawn anew on top.

    Drawing every artist costs some 50 ms, a line on top of a copy well below one.
    """

    def __init__(self, figure: Figure) -> None:
        self._canvas = cast(Any, FigureCanvasAgg(figure))  # its methods have no types
        self._renderer = self._canvas.get_renderer()
        self.pixels: Pixels = np.asarray(self._renderer.buffer_rgba())
        """`(height, width, 4)`: what is drawn is drawn here, and it may be written to."""

    def draw_still(self) -> Pixels:
        """Draw all artists but the animated ones; returns a copy of the pixels."""
        self._canvas.draw()
        return self.pixels.copy()

    def draw_over(self, artists: Sequence[Artist]) -> None:
        """Draw `artists` onto the pixels as they are."""
        for artist in artists:
            artist.draw(self._renderer)


@default_settings()
def figure_png(figure: Figure) -> bytes:
    """A whole figure as PNG."""
    return png(LayeredFigure(figure).draw_still())


def png(pixels: Pixels) -> bytes:
    """Encode the RGB of opaque pixels `(height, width, 3 or 4)` as PNG (RFC 2083), by difference to the row above.

    One filter for all rows and zlib's fastest level: a third of the time of Pillow's fastest at the same size,
    because Pillow tries five filters on each row.
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
    """Copy three channels between pixels of the same size, with or without alpha; five times faster one by one."""
    for channel in range(3):
        target[..., channel] = source[..., channel]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
