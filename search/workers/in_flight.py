"""Trainings that have been submitted and have not ended, for people to watch."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from insects.final import FoldTask
from insects.training import Progress
from insects.trial import TrialTask


@dataclass
class InFlight:
    """A training that has been submitted and has not ended.

    Attributes:
        trial: The trial, or that of the finalist.
        fold: The fold that is held out from a network of the final, from 0; None: it is a trial.
        is_followed: Whether `progress` is there from its beginning on; that of other processes is not known.
        progress: How far it is; None: it waits for a thread, or is not followed.
    """

    trial: TrialTask
    fold: int | None
    is_followed: bool
    progress: Progress | None = None

    @classmethod
    def of_task(cls, task: TrialTask | FoldTask, is_followed: bool = False) -> InFlight:
        """Return a training of a task that has not begun."""
        return cls(task.trial, task.fold, is_followed) if isinstance(task, FoldTask) else cls(task, None, is_followed)

    @property
    def share_done(self) -> float:
        """How much of it is done, from 0 to 1."""
        return 0.0 if self.progress is None else self.progress.epochs / self.trial.recipe.epochs


class TrainingsInFlight:
    """The trainings in flight of some workers.

    Attributes:
        began: `time.monotonic()` when the first training began; None: none has.
    """

    def __init__(self) -> None:
        self.began: float | None = None
        self._trainings: dict[Future[Any], InFlight] = {}

    @property
    def in_flight(self) -> list[InFlight]:
        """The trainings that have not ended, in the order of their submission."""
        return list(self._trainings.values())

    def add(self, training: InFlight, future: Future[Any]) -> None:
        """Take a training that was submitted."""
        self._trainings[future] = training
        future.add_done_callback(lambda ended: self._trainings.pop(ended, None))

    def note_beginning(self) -> None:
        """Note that a training begins."""
        self.began = self.began or time.monotonic()
