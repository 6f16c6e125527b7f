"""The part of an evaluation that another process does: scikit-learn and matplotlib take as long to import as MLflow.

Each method is called at most once; the import of the module itself is cheap, since the command imports it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from insects.baselines import baseline_scores
from insects.evaluation import evaluate
from search.commands.evaluation_data import EvaluationTable
from search.commands.evaluation_figures import draw_figures
from search.registry.load import read_model
from search.reports.descriptions import FigureFormat
from search.store.store import Store
from search.system.files import temporary_errors
from search.tracking.held_out import load_table
from search.upload.worker_process import WorkerProcess


class EvaluationWorker:
    """Fits baselines, draws figures and writes the study's report."""

    def warm_up(self) -> None:
        """Import what the other methods need, before there is anything to do."""
        import sklearn.ensemble
        import sklearn.linear_model  # noqa: F401 - imported for later use, as is the next module

        import insects.plots  # noqa: F401

    def score(self, rows: str, classes: int) -> list[dict[str, Any]]:
        """Fit and score the baselines.

        Args:
            rows: A file with the arguments of `insects.baselines.baseline_scores` but the last.
            classes: The number of classes.

        Returns:
            The scores, as dictionaries.
        """
        with np.load(rows, allow_pickle=False) as file:
            scores = baseline_scores(file["train_x"], file["train_y"], file["x"], file["y"], classes)
        return [score.as_dict() for score in scores]

    def draw(self, title: str, model: str, rows: str, logits: str, folder: str, written_as: FigureFormat) -> None:
        """Draw the figures of a table.

        Args:
            title: What the figures are of.
            model: The folder of the model.
            rows: A file of `search.tracking.held_out.save_table`.
            logits: A file of what the model predicts, `(N, C)`.
            folder: Where the figures go.
            written_as: What they are written as.

        Raises:
            StoreError: The disk is full.
        """
        content, data = read_model(title, Path(model)), EvaluationTable(load_table(Path(rows)))
        with open(logits, "rb") as file:
            logits_NC = np.lib.format.read_array(file, allow_pickle=False)
        report = evaluate(logits_NC, data.y, content.classes)
        with temporary_errors():
            draw_figures(Path(folder), title, content, data, logits_NC, report, written_as)

    def write_report(self, store: str, study: str, tracking_uri: str, version: str) -> None:
        """Write the report of a study again.

        Args:
            store: The store's folder.
            study: The study's name.
            tracking_uri: MLflow's URI, without its password.
            version: The version of its registered model.

        Raises:
            StoreError: A file of the study cannot be read, or the report cannot be written.
        """
        from search.reports.report import write_report

        write_report(Store(Path(store), tracking_uri).study(study), tracking_uri, version)


@contextmanager
def evaluation_worker() -> Iterator[WorkerProcess[EvaluationWorker]]:
    """Start the process, and end it after the block."""
    process = WorkerProcess(EvaluationWorker, niceness=0)
    try:
        process.submit(EvaluationWorker.warm_up)
        yield process
    finally:
        process.kill()
        process.close()
