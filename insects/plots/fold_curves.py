"""Learning curves of a finalist: the validation loss of each fold over the epochs. E: epochs, K: folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from insects.plots.style import (
    GRID,
    INK,
    NORMAL,
    OKABE_ITO,
    SMALL,
    clean_axes,
    default_settings,
    new_figure,
    write_heading,
)
from insects.plots.ticks import FLOOR, rounded_down, rounded_up, set_logarithmic
from insects.training import METRICS

_LOSS = METRICS.index("valid_loss")
_NAMED_FOLDS = 10
"""With more folds, the legend names none of them."""


@default_settings()
def fold_figure(histories: Sequence[NDArray[np.float64]], best_epochs: Sequence[int], title: str) -> Figure:
    """The loss of each fold's rows by epoch (logarithmic), with the best epoch of each network marked.

    Args:
        histories: `(E, 4)` of each of the K networks, columns `insects.training.METRICS`.
        best_epochs: The epoch whose weights are kept, from 1, of each network; 0: none.
        title: First line of the heading.
    """
    figure = new_figure()
    axes = figure.add_axes((0.135, 0.115, 0.84, 0.745))
    loss_KE = [np.maximum(np.where(np.isfinite(h[:, _LOSS]), h[:, _LOSS], np.nan), FLOOR) for h in histories]
    for fold, (loss_E, best) in enumerate(zip(loss_KE, best_epochs, strict=True)):
        colour = OKABE_ITO[fold % len(OKABE_ITO)]
        axes.plot(np.arange(1, len(loss_E) + 1), loss_E, color=colour, linewidth=1.6, label=f"fold {fold}")
        if best:
            axes.plot(best, loss_E[best - 1], "o", color=INK, fillstyle="none", markersize=9, markeredgewidth=1.6)
    finite = np.concatenate(loss_KE)
    finite = finite[np.isfinite(finite)] if np.isfinite(finite).any() else np.array([0.1, 1.0])
    low, high = rounded_down(float(finite.min()) * 0.95), rounded_up(float(finite.max()) * 1.05)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    set_logarithmic(axes, low, high)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.set_xlabel("epoch", fontsize=NORMAL, color=INK)
    axes.set_ylabel("cross entropy of the fold held out (nats)", fontsize=NORMAL, color=INK)
    clean_axes(axes)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    if len(histories) <= _NAMED_FOLDS:
        axes.legend(fontsize=SMALL, labelcolor=INK, frameon=False, ncols=2)
    write_heading(figure, title, "loss of each fold by the network that was trained without it; ring: the epoch kept")
    return figure
