"""Baselines of an evaluation: simple models fitted on rows of the model's study, scored on the same test rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from insects.baselines import Score, rows_used
from insects.errors import StoreError
from insects.text import aligned, counted, metric_text
from search.commands.evaluation_data import EvaluationData
from search.commands.evaluation_worker import EvaluationWorker
from search.registry.load import LoadedModel
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.upload.worker_process import WorkerProcess


@dataclass(frozen=True)
class Baselines:
    """Scores of the baselines.

    Attributes:
        scores: One for each baseline; None if there is nothing to fit them on.
        note: The rows they were fitted on, or why there are none.
    """

    scores: tuple[Score, ...] | None
    note: str

    def text(self, model: Score) -> str:
        """Return a table of the model and the baselines, or a line that says why there is none.

        Args:
            model: The score of the model on the same rows.
        """
        if self.scores is None:
            return f"No baselines: {self.note}"
        ranked = [model, *reversed(self.scores)]
        rows = [[score.name, f"{score.accuracy:.4f}", metric_text(score.loss)] for score in ranked]
        return "\n".join([f"Beside simple models, {self.note}:", *aligned([["model", "accuracy", "log loss"], *rows])])


def start_baselines(
    worker: WorkerProcess[EvaluationWorker], store: Store, model: LoadedModel, data: EvaluationData, folder: Path
) -> Callable[[], Baselines]:
    """Fit the baselines on the training and validation rows that the model's study keeps, and score them.

    Args:
        worker: Fits them.
        store: The store that the study may be in.
        model: The model.
        data: The test rows.
        folder: A folder for temporary files.

    Returns:
        A function that waits for the scores. There are none if the study, or data of the same digest, is not in the
        store.
    """
    try:
        study = _study_of(store, model)
        if study is None:
            return partial(Baselines, None, f"the study of the model is not in {store.path}")
        x_NK, kept = data.coded_rows(model, study), study.data().sample
    except StoreError:  # the evaluation itself does without the store's files
        return partial(Baselines, None, "the files of the model's study cannot be read")
    if x_NK is None:
        return partial(Baselines, None, "the study has no features of these images")
    train_x = np.concatenate([kept.train_x, kept.valid_x])
    train_y = np.concatenate([kept.train_y, kept.valid_y])
    path = folder / "baseline_rows.npz"
    np.savez(path, train_x=train_x, train_y=train_y, x=kept.encoder.transform(x_NK), y=data.y)
    scored = worker.submit(EvaluationWorker.score, str(path), len(model.classes))
    rows = counted(rows_used(*train_x.shape), "row")

    def wait() -> Baselines:
        scores = tuple(Score(**score) for score in scored.result())
        return Baselines(scores, f"fitted on {rows} of the study's training and validation data")

    return wait


def _study_of(store: Store, model: LoadedModel) -> StudyFolder | None:
    """Return the study that the model is from, or another one of that name and the same data."""
    named = [folder for folder in store.studies() if folder.name == model.study]
    return next((folder for folder in named if folder.fingerprint["data"]["rows"] == model.data_digest), None)
