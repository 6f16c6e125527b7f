"""The figures of a study's trials, cheap enough to be drawn for each of them beside the training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from insects.plots.boundary import POINTS, TrialBoundary
from insects.plots.curves import LossCurves
from insects.plots.plane import Predict, plane_for, sample
from insects.plots.style import Pixels, default_settings
from insects.splits import Splits

THUMBNAIL = 64


class TrialFigures:
    """Draws trials of one study. Keeps figures between calls, so one thread at a time may use it.

    A figure depends on the splits and the arguments alone, not on what was drawn before.
    """

    @default_settings()
    def __init__(self, splits: Splits, unit: str = "row") -> None:
        """unit: what a row is to the user: the figures speak of `training images` for `image`."""
        drawn = np.concatenate([sample(splits.train_x, POINTS), sample(splits.valid_x, POINTS)])
        self.plane = plane_for(splits.features, drawn, splits.mean, splits.std, len(splits.classes))
        self._curves = LossCurves(unit)
        self._boundary = TrialBoundary(
            self.plane, splits.classes, (splits.train_x, splits.train_y), (splits.valid_x, splits.valid_y), unit
        )

    @default_settings()
    def loss_curves(self, history_E4: NDArray[np.float64], best_epoch: int, title: str) -> bytes:
        """PNG of loss (logarithmic) and accuracy by epoch, 700 x 500 pixels.

        Args: history_E4: `(E, 4)`, columns `insects.training.METRICS`, at least one epoch; values that are not finite
        are left out and said. best_epoch: from 1, marked; 0 if there is none.
        Raises: ValueError: the history has another shape or no epoch.
        """
        return self._curves.draw(history_E4, best_epoch, title)

    @default_settings()
    def decision_boundary(self, predict: Predict, title: str) -> bytes:
        """PNG of the model's decision with the rows on it, wrong validation rows marked, 700 x 500 pixels.

        Two features are drawn as they are, one with its class probabilities, more as a projection that is named so.
        Args: predict: standardized rows `(N, F)` to logits `(N, C)`.
        """
        return self._boundary.draw(predict, title)

    def thumbnail(self, predict: Predict) -> Pixels:
        """The map of `decision_boundary` alone, `(64, 64, 3)` uint8, for `boundary_atlas`."""
        return self.plane.paint(predict, THUMBNAIL, THUMBNAIL)
