"""What a worker trains: a trial, or a network of the final, on the rows of its study."""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from insects.final import FoldResult, FoldTask, run_fold
from insects.folds import held_out
from insects.splits import Splits
from insects.training import Progress
from insects.trial import TrialResult, TrialTask, run_trial


@dataclass(frozen=True, eq=False)
class StudyRows:
    """The rows of a study.

    Attributes:
        splits: The rows that its trials are trained on.
        folds: `(N,)` fold of each row, first of the training rows, then of the validation rows; None without a final.
    """

    splits: Splits
    folds: NDArray[np.intp] | None = None

    def count_of(self, task: TrialTask | FoldTask) -> int:
        """Return the number of rows that a task is trained on."""
        if isinstance(task, TrialTask):
            return len(self.splits.train_y)
        assert self.folds is not None, "networks of the final are trained on folds"
        return int(np.count_nonzero(self.folds != task.fold))


@overload
def run_task(
    task: TrialTask, rows: StudyRows, interrupt: NDArray[np.uint8], progress: Progress | None = None
) -> TrialResult: ...


@overload
def run_task(
    task: FoldTask, rows: StudyRows, interrupt: NDArray[np.uint8], progress: Progress | None = None
) -> FoldResult: ...


def run_task(
    task: TrialTask | FoldTask, rows: StudyRows, interrupt: NDArray[np.uint8], progress: Progress | None = None
) -> TrialResult | FoldResult:
    """Train a trial, or a network of the final; see `run_trial` and `run_fold`.

    Args:
        task: What to train.
        rows: The rows of the study.
        interrupt: `(1,)` uint8; another thread sets it to 1 to end the training.
        progress: Follows the training, for another thread to read.

    Raises:
        TrainingInterrupted: `interrupt` was set.
    """
    if isinstance(task, TrialTask):
        return run_trial(task, rows.splits, interrupt, progress)
    assert rows.folds is not None, "networks of the final are trained on folds"
    return run_fold(task, held_out(rows.splits, rows.folds, task.fold), interrupt, progress)
