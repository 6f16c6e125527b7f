"""What the run of a trial or of a finalist holds, before it is in MLflow."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insects import mlp
from insects.final import Finalist
from insects.trial import TrialResult
from search.reports.model_figures import model_figures
from search.store.study_folder import StudyFolder
from search.tracking import run_values

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param

    from insects.plots import TrialFigures

TRIAL, FINAL = "trial", "final"
"""Roles of runs, which their names begin with."""

_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True)
class RunContent:
    """A run.

    Attributes:
        started: Milliseconds since 1970.
        ended: Milliseconds since 1970.
        status: MLflow's status at the end.
        tags: Tags beside those by which it is found.
        params: Parameters.
        metrics: Metrics.
        draw: Writes its files into a folder.
    """

    started: int
    ended: int
    status: str
    tags: dict[str, str]
    params: list[Param]
    metrics: list[Metric]
    draw: Callable[[Path], None]


def trial_content(
    result: TrialResult, folder: StudyFolder, shape: mlp.Shape, figures: Callable[[], TrialFigures]
) -> RunContent:
    """Return the run of a trial.

    Args:
        result: The trial.
        folder: The study.
        shape: Inputs and classes of the data.
        figures: Returns what draws the figures.
    """

    def draw(local: Path) -> None:
        if not result.epochs:
            _write_reason(result.reason, local)
            return
        title = run_values.trial_title(result.number, result.params)
        _write(model_figures(figures(), [result], shape, title, of_folds=False), local)
        shutil.copyfile(folder.file(result.number), local / "trial.npz")

    return RunContent(
        started=run_values.started(result),
        ended=run_values.ended(result),
        status=_STATUS[result.state],
        tags={"state": result.state, **run_values.notes(result)},
        params=run_values.trial_params(result.params, folder.fingerprint, shape),
        metrics=run_values.epoch_metrics(result) + run_values.best_so_far_metrics(result),
        draw=draw,
    )


def final_content(
    finalist: Finalist, folder: StudyFolder, shape: mlp.Shape, figures: Callable[[], TrialFigures]
) -> RunContent:
    """Return the run of a finalist.

    Args:
        finalist: The finalist.
        folder: The study.
        shape: Inputs and classes of the data.
        figures: Returns what draws the figures.
    """
    trials = [fold.trial for fold in finalist.folds]

    def draw(local: Path) -> None:
        if not finalist.is_sound:
            _write_reason("\n".join(trial.reason for trial in trials if not trial.best_epoch), local)
            return
        title = run_values.final_title(finalist)
        _write(model_figures(figures(), trials, shape, title, of_folds=True), local)
        for fold in finalist.folds:
            shutil.copyfile(folder.fold_file(finalist.number, fold.fold), local / f"fold-{fold.fold}.npz")

    settings: dict[str, Any] = {"folds": len(trials), "epochs": max(trial.epochs for trial in trials)}
    ended = max(run_values.ended(trial) for trial in trials)
    return RunContent(
        started=min(run_values.started(trial) for trial in trials),
        ended=ended,
        status="FINISHED" if finalist.is_sound else "FAILED",
        tags=run_values.final_notes(finalist),
        params=run_values.trial_params(finalist.params, folder.fingerprint, shape) + run_values.parameters(settings),
        metrics=run_values.final_metrics(finalist, ended),
        draw=draw,
    )


def _write(figures: dict[str, Callable[[], bytes]], local: Path) -> None:
    for name, draw in figures.items():
        (local / f"{name}.png").write_bytes(draw())


def _write_reason(reason: str, local: Path) -> None:
    (local / "traceback.txt").write_text(reason, encoding="utf-8", errors="backslashreplace")
