"""The figures of a single trial: learning curves, decision boundary and thumbnail, drawn beside the training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insects.plots.boundary import POINTS, TrialBoundary
from insects.plots.curves import LossCurves
from insects.plots.plane import Predict, plane_for, sample
from insects.plots.style import Pixels, default_settings
from insects.splits import Splits

THUMBNAIL = 64
"""Pixels along a side."""


class TrialFigures:
    """Draws the figures of one study's trials. It keeps figures between calls, so it is for one thread at a time.

    A figure depends only on the splits and the arguments, not on figures drawn before.

    Args:
        splits: The study's data.
        unit: What a row is to the user: the figures say `training images` for `image`.
    """

    @default_settings()
    def __init__(self, splits: Splits, unit: str = "row") -> None:
        drawn = np.concatenate([sample(splits.train_x, POINTS), sample(splits.valid_x, POINTS)])
        self.plane = plane_for(splits.encoder, drawn, len(splits.classes))
        self._curves = LossCurves(unit)
        self._boundary = TrialBoundary(
            self.plane, splits.classes, (splits.train_x, splits.train_y), (splits.valid_x, splits.valid_y), unit
        )

    @default_settings()
    def loss_curves(self, history_E4: NDArray[np.float64], best_epoch: int, title: str) -> bytes:
        """Loss (logarithmic) and accuracy by epoch, as a PNG of 700 x 500 pixels.

        Args:
            history_E4: `(E, 4)`, columns `insects.training.METRICS`, at least one epoch. Values that are not finite
                are left out, and the figure says so.
            best_epoch: The epoch to mark, from 1; 0 if there is none.
            title: First line of the heading.

        Raises:
            ValueError: The history has another shape or no epoch.
        """
        return self._curves.draw(history_E4, best_epoch, title)

    @default_settings()
    def decision_boundary(self, predict: Predict, title: str) -> bytes:
        """The model's decision with rows on it and wrong validation rows ringed, as a PNG of 700 x 500 pixels.

        Two features are drawn as they are, one with its class probabilities, more as a projection.

        Args:
            predict: Standardized rows `(N, F)` to logits `(N, C)`.
            title: First line of the heading.
        """
        return self._boundary.draw(predict, title)

    def thumbnail(self, predict: Predict) -> Pixels:
        """The map of `decision_boundary` alone, `(64, 64, 3)` uint8, for `boundary_atlas`."""
        return self.plane.paint(predict, THUMBNAIL, THUMBNAIL)
