"""The figures of a single trial: learning curves, decision boundary and thumbnail, drawn beside the training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from insects.mlp import Floats
from insects.params import ClassWeight, Metric
from insects.plots.boundary import POINTS, TrialBoundary
from insects.plots.curves import LossCurves, accuracy_start
from insects.plots.fold_curves import fold_figure
from insects.plots.plane import Plane, Predict, TwoColumns, plane_for, sample, telling_columns
from insects.plots.style import Pixels, default_settings, figure_png, figure_svg
from insects.splits import Splits

THUMBNAIL = 64
"""Pixels along a side."""


class TrialFigures:
    """Draws the figures of one study's trials. It keeps figures between calls, so it is for one thread at a time.

    A figure depends only on the splits and the arguments, not on figures drawn before.

    Args:
        splits: The study's data.
        unit: What a row is to the user: the figures say `training images` for `image`.
        raw: The coded training and validation rows that the splits were made from; None: no figure of two columns.
        metric: What the study is about.
        class_weight: What a row counts in the loss.

    Attributes:
        plane: The plane of `decision_boundary`.
        has_columns: Whether there is a figure of two columns.
    """

    @default_settings()
    def __init__(
        self,
        splits: Splits,
        unit: str = "row",
        raw: tuple[Floats, Floats] | None = None,
        metric: Metric = "loss",
        class_weight: ClassWeight = "none",
    ) -> None:
        start = accuracy_start(splits.train_y, len(splits.classes), metric, class_weight)
        self._curves = LossCurves(unit, start, metric)
        parts = (splits.train_x, splits.train_y), (splits.valid_x, splits.valid_y)
        columns = None
        if raw is not None:
            raw_NK, y_N = np.concatenate(raw), np.concatenate([splits.train_y, splits.valid_y])
            chosen = telling_columns(splits.encoder, raw_NK, y_N, len(splits.classes))
            if chosen is not None:
                columns = TwoColumns(splits.encoder, chosen, raw_NK, len(splits.classes), splits.encoder.transform)
        of_columns = None if columns is None else TrialBoundary(columns, splits.classes, *parts, unit, raw)
        if columns is not None and of_columns is not None and columns.shows_all:
            self.plane: Plane = columns
            self._boundary, self._columns = of_columns, None
        else:
            drawn = np.concatenate([sample(splits.train_x, POINTS), sample(splits.valid_x, POINTS)])
            self.plane = plane_for(splits.encoder, drawn, len(splits.classes))
            self._boundary = TrialBoundary(self.plane, splits.classes, *parts, unit)
            self._columns = of_columns
        self.has_columns = self._columns is not None

    @default_settings()
    def loss_curves(self, history_EM: NDArray[np.float64], best_epoch: int, title: str, svg: bool = False) -> bytes:
        """Loss (logarithmic) and accuracy by epoch, as a PNG of 700 x 500 pixels, or as SVG.

        Args:
            history_EM: `(E, M)`, columns `insects.objective.history_columns` of the study's metric, at least one
                epoch. Values that are not finite are left out, and the figure says so.
            best_epoch: The epoch to mark, from 1; 0 if there is none.
            title: First line of the heading.
            svg: Whether it is SVG.

        Raises:
            ValueError: The history has another shape or no epoch.
        """
        draw = self._curves.svg if svg else self._curves.draw
        return draw(history_EM, best_epoch, title)

    def fold_curves(
        self, histories: Sequence[NDArray[np.float64]], best_epochs: Sequence[int], title: str, svg: bool = False
    ) -> bytes:
        """The loss of each fold by epoch as a PNG of 700 x 500 pixels, or as SVG; see `fold_figure`."""
        figure = fold_figure(histories, best_epochs, title)
        return figure_svg(figure) if svg else figure_png(figure)

    @default_settings()
    def decision_boundary(self, predict: Predict, title: str, trained_on_all: bool = False, svg: bool = False) -> bytes:
        """The model's decision with rows on it and wrong validation rows ringed: a PNG of 700 x 500 pixels, or SVG.

        Two columns are drawn as they are, one with its class probabilities, more as a projection.

        Args:
            predict: Standardized rows `(N, F)` to logits `(N, C)`.
            title: First line of the heading.
            trained_on_all: Whether the model was trained on the validation rows too: no row is called wrong then.
            svg: Whether it is SVG.
        """
        draw = self._boundary.svg if svg else self._boundary.draw
        return draw(predict, title, trained_on_all)

    @default_settings()
    def decision_columns(self, predict: Predict, title: str, trained_on_all: bool = False, svg: bool = False) -> bytes:
        """`decision_boundary` over the two most telling columns; only where `has_columns` is true."""
        assert self._columns is not None, "asked for where there is none"
        draw = self._columns.svg if svg else self._columns.draw
        return draw(predict, title, trained_on_all)

    def thumbnail(self, predict: Predict) -> Pixels:
        """The map of `decision_boundary` alone, `(64, 64, 3)` uint8, for `boundary_atlas`."""
        return self.plane.paint(predict, THUMBNAIL, THUMBNAIL)
