"""What runs in the processes of an executor or of a Dask cluster: checking the machine, and training with a way out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from insects.errors import InsectsError
from insects.final import FoldResult, FoldTask
from insects.machine import DeviceRequest, Machine, MachineReport, canary_digest, report
from insects.tasks import StudyRows, run_task
from insects.training import TrainingInterrupted
from insects.trial import TrialResult, TrialTask

POLL_SECONDS = 0.2
"""How often a training looks whether it is still wanted."""

WANTED = "wanted"
"""The file beside the rows whose removal ends training."""

_ARRAYS = ("train_x", "train_y", "valid_x", "valid_y")


class NotAdmittedError(InsectsError):
    """This process may not train for a study: its machine is of another kind, or computes otherwise."""


@dataclass(frozen=True)
class Admission:
    """What a process must be and compute to train for a study.

    Attributes:
        request: The device and the engine that are asked for.
        machine: The kind of machine.
        canary: What `canary_digest` returns.
    """

    request: DeviceRequest
    machine: Machine
    canary: str


@lru_cache(maxsize=4)
def admit(admission: Admission) -> MachineReport:
    """Check once that this process may train for a study.

    Raises:
        NotAdmittedError: It may not; the message says why.
    """
    found = report(admission.request)
    if reason := found.machine.difference(admission.machine):
        raise NotAdmittedError(reason)
    if canary_digest(found.machine.choice) != admission.canary:
        raise NotAdmittedError("its canary trial gives other bits than the study's")
    return found


async def report_aside(request: DeviceRequest) -> MachineReport:
    """Call `report` beside the event loop of a Dask worker, which must go on."""
    return await asyncio.to_thread(report, request)


async def canary_aside(request: DeviceRequest) -> str:
    """Call `own_canary`; see `report_aside`."""
    return await asyncio.to_thread(own_canary, request)


async def admit_aside(admission: Admission) -> MachineReport:
    """Call `admit`; see `report_aside`."""
    return await asyncio.to_thread(admit, admission)


def own_canary(request: DeviceRequest) -> str:
    """Return `canary_digest` of what this machine trains with."""
    return canary_digest(report(request).machine.choice)


def train_on_dask(task: TrialTask | FoldTask, rows: StudyRows, admission: Admission) -> TrialResult | FoldResult:
    """Train in a thread of a Dask worker, until the task is cancelled or its worker closes.

    A task is cancelled when its client takes it back, and when the client is gone.

    Args:
        task: What to train.
        rows: The rows of the study.
        admission: What this process must be.

    Raises:
        NotAdmittedError: It is not.
        TrainingInterrupted: The task was cancelled.
    """
    from distributed import get_worker

    admit(admission)
    worker: Any = get_worker()
    key = worker.get_current_task()

    def is_cancelled() -> bool:
        state = worker.state.tasks.get(key)
        return state is None or state.state == "cancelled" or worker.status.name in ("closing", "closed", "failed")

    with interrupted_when(is_cancelled) as interrupt:
        return run_task(task, rows, interrupt)


def same_rows(rows: StudyRows) -> StudyRows:
    """Return the rows: as a task, whose result Dask brings to each worker, and makes again where it is lost."""
    return rows


@dataclass(frozen=True)
class RowFiles:
    """The rows of a study as files, which the processes of a host share in memory.

    Attributes:
        folder: The folder of the files.
        rows: The rows without their arrays.
        has_folds: Whether there are folds.
    """

    folder: Path
    rows: StudyRows
    has_folds: bool

    @classmethod
    def write(cls, rows: StudyRows, folder: Path) -> RowFiles:
        """Write files into an empty folder; training goes on while its file `wanted` is there."""
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(rows.splits, name), allow_pickle=False)
        if rows.folds is not None:
            np.save(folder / "folds.npy", rows.folds, allow_pickle=False)
        (folder / WANTED).touch()
        arrays: dict[str, Any] = {name: getattr(rows.splits, name)[:0] for name in _ARRAYS}
        return cls(folder, StudyRows(replace(rows.splits, **arrays)), rows.folds is not None)

    @property
    def wanted(self) -> Path:
        """The file whose removal ends training."""
        return self.folder / WANTED

    def load(self) -> StudyRows:
        """Map the files into memory."""
        arrays: dict[str, Any] = {name: self._map(name) for name in _ARRAYS}
        return StudyRows(replace(self.rows.splits, **arrays), self._map("folds") if self.has_folds else None)

    def _map(self, name: str) -> NDArray[Any]:
        # Copy on write, because the compiled engine takes writable arrays only, though it does not write these.
        return np.asarray(np.load(self.folder / f"{name}.npy", mmap_mode="c", allow_pickle=False))


_rows: dict[Path, StudyRows] = {}


def train_from_files(task: TrialTask | FoldTask, files: RowFiles, admission: Admission) -> TrialResult | FoldResult:
    """Train in a process of an executor, until the file `wanted` is removed.

    Args:
        task: What to train.
        files: The rows of the study.
        admission: What this process must be.

    Raises:
        NotAdmittedError: It is not.
        TrainingInterrupted: The file was removed.
    """
    admit(admission)
    if not files.wanted.exists():
        raise TrainingInterrupted("the search has ended")
    if files.folder not in _rows:
        _rows.clear()
        _rows[files.folder] = files.load()
    with interrupted_when(lambda: not files.wanted.exists()) as interrupt:
        return run_task(task, _rows[files.folder], interrupt)


@contextmanager
def interrupted_when(is_asked: Callable[[], bool]) -> Iterator[NDArray[np.uint8]]:
    """Give a flag that a thread sets to 1 once `is_asked` returns true.

    Args:
        is_asked: Called every `POLL_SECONDS`.
    """
    flag, done = np.zeros(1, np.uint8), threading.Event()

    def watch() -> None:
        while not done.wait(POLL_SECONDS):
            if is_asked():
                flag[0] = 1
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield flag
    finally:
        done.set()
