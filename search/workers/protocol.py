"""What the loop and the final need of workers, wherever these are."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol, overload

from insects.final import FoldResult, FoldTask
from insects.machine import Machine
from insects.tasks import StudyRows
from insects.trial import TrialResult, TrialTask
from search.workers.in_flight import TrainingsInFlight


class MemoryCheck(Protocol):
    """Tells how many trials fit into memory."""

    def __call__(self, free: int | None, wanted: int) -> int:
        """Return how many trials are trained side by side.

        Args:
            free: Bytes that are free; None: unknown, and not checked.
            wanted: The most that are wanted.

        Raises:
            StudyError: The largest trial does not fit.
        """


class Workers(Protocol):
    """Trains trials and networks of the final.

    Attributes:
        count: Trainings that run side by side at the moment; None where that is not known.
        watched: The trainings that have not ended.
    """

    @property
    def count(self) -> int | None: ...

    @property
    def watched(self) -> TrainingsInFlight: ...

    def open(self, rows: StudyRows, check: MemoryCheck, folder: Path) -> None:
        """Get ready for tasks.

        Args:
            rows: The rows that all tasks are trained on.
            check: Tells how many trials fit into memory.
            folder: The study's folder, for files that workers read.

        Raises:
            StudyError: The largest trial does not fit, or there is no worker for this study.
        """

    @overload
    def submit(self, task: TrialTask) -> Future[TrialResult]: ...

    @overload
    def submit(self, task: FoldTask) -> Future[FoldResult]: ...

    def interrupt(self) -> None:
        """Stop training: what has not ended raises TrainingInterrupted, or is cancelled. Nothing is submitted after."""

    def close(self) -> None:
        """Let the workers go. Called in every case, whether or not they were opened, and more than once."""


class RemoteWorkers(Workers, Protocol):
    """Trains in other processes, which may be on other machines.

    Attributes:
        machines: The kinds of machine that they are on, the most frequent first.
        machine: The kind that trains, set before `open`.
    """

    machines: Sequence[Machine]
    machine: Machine
