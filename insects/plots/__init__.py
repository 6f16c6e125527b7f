"""Figures of data, trials, studies and evaluations, as matplotlib `Figure` objects or PNG bytes."""

from insects.plots.boundary import evaluation_boundaries
from insects.plots.confusion import confusion_figure
from insects.plots.probabilities import calibration_figure, ranking_figures
from insects.plots.study import boundary_atlas, optimization_history
from insects.plots.style import figure_png, figure_svg
from insects.plots.trial import TrialFigures

__all__ = [
    "TrialFigures",
    "boundary_atlas",
    "calibration_figure",
    "confusion_figure",
    "evaluation_boundaries",
    "figure_png",
    "figure_svg",
    "optimization_history",
    "ranking_figures",
]
