"""The figures of an evaluation, as PNG files and as SVG."""

from __future__ import annotations

from pathlib import Path

from insects.calibration import softmax
from insects.evaluation import Report
from insects.mlp import Floats
from search.commands.evaluation_data import EvaluationData
from search.registry.load import ModelContent
from search.reports.descriptions import FigureFormat, write_figures


def draw_figures(
    folder: Path,
    title: str,
    model: ModelContent,
    data: EvaluationData,
    logits_NC: Floats,
    report: Report,
    written_as: FigureFormat = "png",
) -> None:
    """Draw all figures of an evaluation.

    Args:
        folder: Where the files go.
        title: What the figures are of.
        model: The model.
        data: The test rows or images.
        logits_NC: `(N, C)`, what the model predicts.
        report: The metrics of that.
        written_as: What they are written as.
    """
    from insects.plots import calibration_figure, confusion_figure, ranking_figures

    figures = data.figures(model, logits_NC, title)
    figures["confusion_matrix.png"] = confusion_figure(report, f"{title}: confusion matrix")
    if report.calibration is not None:
        figures["calibration.png"] = calibration_figure(report.calibration, f"{title}: calibration")
    if report.roc_auc is not None and len(model.classes) == 2:
        figures |= ranking_figures(softmax(logits_NC), data.y, model.classes, title)
    write_figures(folder, figures, written_as)
