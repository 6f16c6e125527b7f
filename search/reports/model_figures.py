"""The figures of one model: its learning curves and its decision boundaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from insects import mlp
from insects.trial import TrialResult

if TYPE_CHECKING:
    from insects.plots import TrialFigures

CURVES, BOUNDARY, COLUMNS = "loss_curves", "decision_boundary", "decision_columns"


def model_figures(
    figures: TrialFigures,
    trials: Sequence[TrialResult],
    shape: mlp.Shape,
    title: str,
    of_folds: bool,
    svg: bool = False,
) -> dict[str, Callable[[], bytes]]:
    """Return the figures of a model by name, each drawn when it is called.

    Args:
        figures: Draws them.
        trials: The training of each network, one at least; the model is the mean of their probabilities.
        shape: Inputs and classes of the data.
        title: First line of each heading.
        of_folds: Whether the networks are those of folds: the model was trained on the validation rows too.
        svg: Whether they are drawn as SVG instead of PNG.

    Returns:
        `CURVES`, `BOUNDARY`, and where the data has them `COLUMNS`.
    """
    first = trials[0]
    predict = partial(mlp.mean_logits, [trial.weights for trial in trials], first.params, shape)
    if of_folds:
        histories, best_epochs = [trial.history for trial in trials], [trial.best_epoch for trial in trials]
        curves = partial(figures.fold_curves, histories, best_epochs, title, svg)
    else:
        curves = partial(figures.loss_curves, first.history, first.best_epoch, title, svg)
    boundary = partial(figures.decision_boundary, predict, title, of_folds, svg)
    drawn: dict[str, Callable[[], bytes]] = {CURVES: curves, BOUNDARY: boundary}
    if figures.has_columns:
        drawn[COLUMNS] = partial(figures.decision_columns, predict, title, of_folds, svg)
    return drawn
