"""Descriptions on MLflow's pages, in Markdown: the best trials of a study, its model and what to expect of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from insects.objective import figures_text, metric_column, metric_name, needs_logits
from insects.text import counted, metric_text, shortened
from insects.trial import TrialResult, best_of
from search.store.evaluation_record import EvaluationRecord
from search.store.study_folder import StudyFolder
from search.study.config import study_digest
from search.study.final import finalists_in
from search.tracking import run_values
from search.tracking.client import mlflow_errors
from search.tracking.tags import NOTE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from search.study.winner import TrainedModel

LISTED = 10
"""Trials in a description; MLflow takes 5,000 characters."""

OWN = "Best of"
"""How a study's description begins. One that begins otherwise is a person's and is left alone."""

BEGUN = "A search on"
"""How it begins before any trial is compared."""

_SOURCE_LENGTH, _NAME_LENGTH = 200, 40
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#|~!])")


def describe_study(client: MlflowClient, run_id: str, folder: StudyFolder) -> None:
    """Bring the list of the best trials to the search's run and to the page of its experiment.

    Args:
        client: MLflow's client.
        run_id: The search's run.
        folder: The study, of which a trial has finished.
    """
    note = study_note(folder)
    with mlflow_errors(client.tracking_uri):
        run = client.get_run(run_id)
        if run.data.tags.get(NOTE_TAG, OWN).startswith(OWN):
            client.set_tag(run_id, NOTE_TAG, note)
        experiment = client.get_experiment(run.info.experiment_id)
        if experiment.tags.get(NOTE_TAG, OWN).startswith((OWN, BEGUN)):
            client.set_experiment_tag(experiment.experiment_id, NOTE_TAG, note)


def study_note(folder: StudyFolder) -> str:
    """Return the best trials of a study as a table, best first, and a line about its model."""
    results, final, evaluation = folder.results_without_weights(), folder.final(), folder.evaluation()
    if evaluation is not None and evaluation.seen:  # that says nothing about new rows
        evaluation = None
    metric, best = folder.metric, best_of(results)
    chosen = final.chosen if final is not None and final.chosen is not None else best.number if best else None
    extra = [metric_name(metric)] if needs_logits(metric) else []
    head = ["trial", "depth", "width", "lr", "batch size", "loss", "accuracy", *extra]
    is_tested = evaluation is not None and _is_of_latest(evaluation, folder, results)
    head += ["test accuracy"] if is_tested else []
    lines = [" | ".join(head), " | ".join(["---:"] * len(head))]
    ranked = sorted((result for result in results if result.best_epoch), key=lambda result: result.rank)
    for result in ranked[:LISTED]:
        params = result.params
        cells = [str(result.number), str(params.depth), str(params.width), f"{params.lr:.2g}", str(params.batch_size)]
        cells += [metric_text(result.valid_loss), metric_text(result.valid_accuracy)]
        cells += [metric_text(result.best_figures[metric_column(metric)])] if extra else []
        if is_tested and evaluation is not None:
            cells.append(f"{evaluation.report['accuracy']:.4f}" if result.number == chosen else "")
        lines.append(" | ".join(cells))
    table = "\n".join(f"| {line} |" for line in lines)
    parts = []  # the line that MLflow shows of a long description begins with what matters
    if final is not None and final.accuracy is not None:
        low, high = final.interval
        parts.append(f"expected accuracy **{final.accuracy:.4f}** (95 % interval {low:.4f}–{high:.4f})")
    if evaluation is not None:
        low, high = evaluation.report["interval"]
        parts.append(
            f"test accuracy of version {markdown(evaluation.version)} **{evaluation.report['accuracy']:.4f}** (95 % "
            f"interval {low:.4f}–{high:.4f})"
        )
    if best is not None:
        parts.append(f"{run_values.trial_title(best.number, best.params)}; {figures_text(best.best_figures)}")
    listed = f"On {markdown(folder.source)}, by validation {metric_name(metric)}, best first:"
    last = "All of it on one page: `report.html` among the artifacts of the search's run."
    return "\n\n".join([f"{OWN} {counted(len(results), 'trial')}: {'; '.join(parts)}.", listed, table, last])


def _is_of_latest(evaluation: EvaluationRecord, folder: StudyFolder, results: Sequence[TrialResult]) -> bool:
    """Tell whether an evaluation is of the model of all these trials."""
    uploaded = folder.upload_record()
    if uploaded is None or uploaded.version != evaluation.version:
        return False
    return uploaded.trials == study_digest(results, finalists_in(folder))


def model_note(folder: StudyFolder, name: str) -> str:
    """Return what a registered model is for, whatever its version.

    Args:
        folder: The study of its first version.
        name: The registered model.
    """
    return (
        f"{_purpose(folder)}\n\nThe version with the alias `best` is the best one. In Python: "
        f'`mlflow.pyfunc.load_model("models:/{name}@best")`; on the command line: `insects-predict --best --model-name '
        f"{name}`."
    )


def version_note(folder: StudyFolder, model: TrainedModel) -> str:
    """Return what a version of a registered model is for, how good it is, and where it is from.

    Args:
        folder: Its study.
        model: Its networks.
    """
    final, parts = folder.final(), []
    if model.folds and final is not None and final.accuracy is not None:
        low, high = final.interval
        parts.append(f"Expected accuracy **{final.accuracy:.4f}** (95 % interval {low:.4f}–{high:.4f}).")
    summary = run_values.model_summary(model)
    parts += [_purpose(folder), f"{summary[:1].upper()}{summary[1:]}.", f"Study {markdown(folder.name)}."]
    return "\n\n".join(parts)


def _purpose(folder: StudyFolder) -> str:
    """One sentence: the target, its classes, and the input."""
    classes, table, images = folder.data().sample.classes, folder.table(), folder.images()
    names = ", ".join(markdown(name, _NAME_LENGTH) for name in classes[:LISTED])
    more = f" and {len(classes) - LISTED:,} more" if len(classes) > LISTED else ""
    if table is not None:
        target, source = table.target, f"{counted(len(table.columns), 'column')} of {markdown(folder.source)}"
    else:
        assert images is not None, "a study is on images or on a table"
        target, source = images.target, f"images like those of {markdown(folder.source)}"
    return f"Tells {markdown(target)} ({names}{more}) from {source}."


def markdown(text: str, length: int = _SOURCE_LENGTH) -> str:
    """Return a user's text on one line, cut to a length, so that Markdown shows it as it is."""
    return _SPECIAL.sub(r"\\\1", shortened(text, length))
