"""Decision boundaries: a model's decision as a coloured map, with rows of the data on it.

Shapes: N rows, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from insects.encoder import Encoder
from insects.mlp import Floats
from insects.plots.heading import Heading
from insects.plots.plane import Plane, Predict, Projection, TwoColumns, plane_for, raw, sample, sample_index
from insects.plots.style import (
    INK,
    MUTED,
    NORMAL,
    LayeredFigure,
    Pixels,
    class_colours,
    class_legend,
    clean_axes,
    copy_rgb,
    default_settings,
    new_figure,
    png,
    rare_last,
    svg_with_heading,
    write_heading,
)

POINTS = 2000
"""Most rows of a kind (training, validation, test) that are drawn; of more, a sample from a fixed seed."""

_BOX = (0.115, 0.115, 0.64, 0.745)  # left, bottom, width, height of the axes in the figure


class BoundaryCanvas:
    """The figure without a model: axes of the plane, rows and legend, with room for map, title and marks of wrong rows.

    Args:
        plane: What the axes show.
        classes: Class names.
    """

    def __init__(self, plane: Plane, classes: Sequence[str]) -> None:
        self.plane, self.classes = plane, classes
        self.figure = new_figure()
        self.axes: Any = self.figure.add_axes(_BOX, facecolor="none")
        self.axes.set_xlim(plane.xlim)
        self.axes.set_ylim(plane.ylim)
        self.axes.set_xlabel(plane.xlabel, fontsize=NORMAL, color=INK, parse_math=False)
        self.axes.set_ylabel(plane.ylabel, fontsize=NORMAL, color=INK, parse_math=False)
        clean_axes(self.axes)
        if plane.ylim[0] < 0 and plane.ylim[1] == 1:  # of probabilities; the strip of rows below zero has no scale
            self.axes.set_yticks(np.linspace(0, 1, 6))
        self.wrong = Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            markersize=9,
            markeredgewidth=1.8,
            color="black",
            fillstyle="none",
            zorder=3,
        )
        self.axes.add_line(self.wrong)

    def scatter(self, points_N2: Floats, y_N: NDArray[np.integer], size: float, edge: str) -> None:
        """Draw rows as dots in the colours of their classes, and fit the rings of wrong rows to these dots.

        Args:
            points_N2: Places in the units of the axes.
            y_N: `(N,)` classes in `[0, C)`.
            size: Diameter in points.
            edge: Colour of the dots' edges.
        """
        self.wrong.set_markersize(size + 3)
        self.wrong.set_markeredgewidth(0.3 * size)
        order = rare_last(y_N)
        colours = class_colours(len(self.classes))[y_N[order]] / 255
        self.axes.scatter(*points_N2[order].T, s=size**2, c=colours, edgecolors=edge, linewidths=0.6, zorder=2)

    def draw_map(self, predict: Predict) -> Artist:
        """Draw a model's decision below the rows; returns the image."""
        rows, columns = self.box
        colours = self.plane.paint(predict, columns.stop - columns.start, rows.stop - rows.start)
        extent = (*self.plane.xlim, *self.plane.ylim)
        image: Artist = self.axes.imshow(colours, extent=extent, aspect="auto", interpolation="nearest", zorder=0)
        return image

    def legend(self, extra: Sequence[Line2D]) -> None:
        """Draw the legend at the right: class names, `extra`, and the mark of wrong rows, which `ring` shows."""
        self.wrong.set_label("wrong")
        legend = class_legend(self.figure, self.classes, [*extra, self.wrong])
        self._entry = legend.legend_handles[-1], legend.get_texts()[-1]

    def ring(self, points_N2: Floats) -> None:
        """Ring rows as wrong; the legend lists the rings where there are any."""
        self.wrong.set_data(*points_N2.T)
        self.is_ringed = len(points_N2) > 0
        for part in self._entry:
            cast(Artist, part).set_visible(self.is_ringed)

    @property
    def box(self) -> tuple[slice, slice]:
        """The rows and columns of pixels inside the axes."""
        width, height = (round(inches * self.figure.dpi) for inches in self.figure.get_size_inches())
        left, bottom, wide, high = _BOX
        rows = slice(round((1 - bottom - high) * height), round((1 - bottom) * height))
        return rows, slice(round(left * width), round((left + wide) * width))


class TrialBoundary:
    """Draws the decision boundaries of one model after the other over the same rows.

    Everything except map, marks and title is drawn once.

    Args:
        plane: What the axes show.
        classes: Class names.
        train: Standardized training rows `(N, F)` and their classes `(N,)`.
        valid: The same of the validation rows.
        unit: What a row is to the user, for the legend.
        placed: The training and validation rows as `plane.points` takes them; None: as the model takes them.
    """

    def __init__(
        self,
        plane: Plane,
        classes: tuple[str, ...],
        train: tuple[Floats, NDArray[np.integer]],
        valid: tuple[Floats, NDArray[np.integer]],
        unit: str,
        placed: tuple[Floats, Floats] | None = None,
    ) -> None:
        train_rows, valid_rows = placed or (train[0], valid[0])
        self.plane, self._unit = plane, unit
        self._valid_x, self._valid_y = valid
        self._drawn = sample_index(len(self._valid_y), POINTS)
        self._points_N2 = plane.points(sample(valid_rows, POINTS))
        canvas = BoundaryCanvas(plane, classes)
        shown = sample_index(len(train[1]), POINTS)
        small, large = dot_size(len(shown)) / 2, dot_size(len(self._drawn))
        canvas.scatter(plane.points(sample(train_rows, POINTS)), train[1][shown], small, "none")
        canvas.scatter(self._points_N2, self._valid_y[self._drawn], large, "white")
        canvas.legend([_dot(f"training {unit}", small), _dot(f"validation {unit}", large)])
        canvas.wrong.set_animated(True)
        canvas.figure.patch.set_alpha(0)
        self._canvas = canvas
        self._wrong, self._box, self._heading = canvas.wrong, canvas.box, Heading()
        self._layers = LayeredFigure(canvas.figure)
        self._frames = []  # without and with rings in the legend
        for points_N2 in (self._points_N2[:0], self._points_N2[:1]):
            canvas.ring(points_N2)
            drawing = self._layers.draw_still()
            self._frames.append(np.full_like(drawing, 255))
            Overlay(drawing).put_on(self._frames[-1])
        self._overlay = Overlay(drawing[self._box])

    def draw(self, predict: Predict, title: str, trained_on_all: bool = False) -> bytes:
        """PNG of 700 x 500 pixels; see `TrialFigures.decision_boundary`."""
        below_title = self._mark_wrong(predict, trained_on_all)
        pixels = self._layers.pixels
        pixels[:] = self._frames[self._canvas.is_ringed]
        place = pixels[self._box]
        copy_rgb(self.plane.paint(predict, place.shape[1], place.shape[0]), place)
        self._overlay.put_on(place)
        self._layers.draw_over([self._wrong])
        self._heading.write(pixels, title, below_title)
        return png(pixels)

    def svg(self, predict: Predict, title: str, trained_on_all: bool = False) -> bytes:
        """The same as SVG, with the map as an image in it."""
        below_title = self._mark_wrong(predict, trained_on_all)
        image = self._canvas.draw_map(predict)
        self._canvas.figure.patch.set_alpha(1)
        try:
            return svg_with_heading(self._canvas.figure, title, below_title)
        finally:
            image.remove()
            self._canvas.figure.patch.set_alpha(0)

    def _mark_wrong(self, predict: Predict, trained_on_all: bool) -> str:
        """Ring the wrong validation rows; returns the line below the title."""
        if trained_on_all:
            self._canvas.ring(self._points_N2[:0])
            return f"{self.plane.kind}; trained on the validation {self._unit}s too"
        wrong_N = np.argmax(predict(self._valid_x), axis=1) != self._valid_y
        self._canvas.ring(self._points_N2[wrong_N[self._drawn]])
        return f"{self.plane.kind}; {int(wrong_N.sum())} of {len(wrong_N)} validation {self._unit}s wrong"


class Overlay:
    """A transparent drawing `(height, width, 4)` that can be blended onto pixels of the same height and width."""

    def __init__(self, rgba: Pixels) -> None:
        self._rows, self._columns = np.nonzero(rgba[..., 3])
        drawn = rgba[self._rows, self._columns].astype(np.uint16)
        self._under = 255 - drawn[:, 3:]
        self._ink = drawn[:, :3] * drawn[:, 3:] + 127  # 127: the division by 255 then rounds

    def put_on(self, pixels: Pixels) -> None:
        """Blend onto opaque RGBA pixels in place."""
        under = pixels[self._rows, self._columns, :3]
        pixels[self._rows, self._columns, :3] = (under * self._under + self._ink) // 255


@default_settings()
def evaluation_boundaries(
    encoder: Encoder,
    classes: tuple[str, ...],
    predict_raw: Predict,
    raw_NK: Floats,
    y_N: NDArray[np.integer],
    title: str = "test rows",
    unit: str = "row",
    columns: tuple[int, int] | None = None,
) -> dict[str, Figure]:
    """The model's decision with the test rows on it, the wrong ones ringed and counted in the title.

    Args:
        encoder: What makes the network's inputs.
        classes: Class names.
        predict_raw: Coded rows `(N, K)` to logits `(N, C)`.
        raw_NK: `(N, K)` float32, coded test rows.
        y_N: `(N,)` classes in `[0, C)`.
        title: The first words of the title.
        unit: What a row is to the user: the texts say `test image` for `image`.
        columns: Positions of the two number columns to draw, see `insects.plots.plane.telling_columns`; None: none.

    Returns:
        By file name, `decision_boundary.png`: two columns as they are or a projection, which only a model of numbers
        without gaps can be asked about; and `decision_columns.png`: two of more columns.
    """
    wrong_N = np.argmax(predict_raw(raw_NK), axis=1) != y_N
    figures = {}
    if encoder.is_plain:
        x_NF = encoder.transform(raw_NK)
        plane = plane_for(encoder, x_NF, len(classes), of=f"the test {unit}s")
        figures["decision_boundary.png"] = _evaluated(
            plane,
            classes,
            lambda x: predict_raw(raw(x, encoder.mean, encoder.std)),
            plane.points(x_NF),
            y_N,
            wrong_N,
            title,
            unit,
            of=f"PCA of {len(encoder.names):,} features; " if isinstance(plane, Projection) else "",
        )
    if columns is not None:
        of_two = TwoColumns(encoder, columns, raw_NK, len(classes), encode=lambda x: x)
        points_N2 = of_two.points(raw_NK)
        figures["decision_boundary.png" if of_two.shows_all else "decision_columns.png"] = _evaluated(
            of_two, classes, predict_raw, points_N2, y_N, wrong_N, title, unit
        )
    return figures


def _evaluated(
    plane: Plane,
    classes: tuple[str, ...],
    predict: Predict,
    points_N2: Floats,
    y_N: NDArray[np.integer],
    wrong_N: NDArray[np.bool_],
    title: str,
    unit: str,
    of: str = "",
) -> Figure:
    canvas = BoundaryCanvas(plane, classes)
    canvas.draw_map(predict)
    right = np.flatnonzero(~wrong_N)
    shown = np.concatenate([right[sample_index(len(right), POINTS)], np.flatnonzero(wrong_N)])
    size = dot_size(len(shown))
    canvas.scatter(points_N2[shown], y_N[shown], size, "white")
    canvas.legend([_dot(f"test {unit}", size)])
    canvas.ring(points_N2[wrong_N])
    kind = f"{of}{plane.kind}, wrong ones are ringed" if of else plane.kind
    write_heading(canvas.figure, f"{title}: {int(wrong_N.sum())} of {len(wrong_N)} wrong", kind)
    return canvas.figure


def dot_size(rows: int) -> float:
    """Diameter in points of each of `rows` dots; many dots are smaller."""
    return float(np.clip(6 * (400 / max(rows, 1)) ** 0.4, 3.6, 6))


def _dot(label: str, size: float) -> Line2D:
    return Line2D([], [], linestyle="", marker="o", markersize=size, color=MUTED, markeredgewidth=0, label=label)
