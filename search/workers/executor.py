"""Training by any `concurrent.futures.Executor`, of which nothing but `submit` and `shutdown` is used."""

from __future__ import annotations

import importlib
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from insects import remote
from insects.errors import InsectsError, StudyError
from insects.final import FoldTask
from insects.machine import DeviceRequest, Machine, report
from insects.remote import WANTED, Admission, NotAdmittedError, RowFiles
from insects.tasks import StudyRows
from insects.trial import TrialTask
from search.system import files
from search.system.signals import Interrupted
from search.system.terminal import say
from search.workers.canary import keep_canary, known_canary
from search.workers.in_flight import InFlight, TrainingsInFlight
from search.workers.protocol import MemoryCheck
from search.workers.trainings import Trainings, line

REFUSALS = 5
"""Processes in a row that may refuse a task before the search ends."""

_ROWS = "rows-"

_Returned = TypeVar("_Returned")


class ExecutorWorkers:
    """See `search.workers.protocol.Workers`.

    Args:
        source: `MODULE:FUNCTION`, called without arguments for an executor.
        request: The device and the engine that are asked for.

    Raises:
        StudyError: There is no such function, or its executor does not work.
    """

    count = None

    def __init__(self, source: str, request: DeviceRequest) -> None:
        self._source, self._request = source, request
        self._executor = _executor_of(source)
        self._trainings = Trainings()
        self.watched = TrainingsInFlight()
        self._folder: Path | None = None
        self._interrupted = False
        self._refused: set[str] = set()
        try:
            found = self._answer(report, request)
        except BaseException:
            self._executor.shutdown(wait=False)
            raise
        self.machines: Sequence[Machine] = [found.machine]
        self.machine: Machine = found.machine
        self._free = found.free

    def open(self, rows: StudyRows, check: MemoryCheck, folder: Path) -> None:
        """Write the rows for the processes; see `search.workers.protocol.Workers`."""
        check(self._free, 1)
        canary = known_canary(self.machine, folder)
        if canary is None:
            canary = self._answer(remote.own_canary, self._request)
        keep_canary(canary, folder)
        self._admission = Admission(self._request, self.machine, canary)
        for left in folder.glob(f"{_ROWS}*"):  # by a search that was killed, whose trainings this ends
            shutil.rmtree(left, ignore_errors=True)
        self._folder = folder / f"{_ROWS}{secrets.token_hex(4)}"
        files.make_folder(self._folder)
        try:
            self._files = RowFiles.write(rows, self._folder.resolve())
        except OSError as error:
            raise StudyError(f"cannot write {self._folder}: {error.strerror}; make room") from error

    def submit(self, task: Any) -> Future[Any]:
        """Hand a task to the executor."""
        training = self._trainings.begin()
        self.watched.note_beginning()
        self.watched.add(InFlight.of_task(task), training)
        self._send(task, training, refusals=0)
        return training

    def interrupt(self) -> None:
        """Ask the processes to end every training, and wait for none."""
        self._interrupted = True
        self._files.wanted.unlink(missing_ok=True)
        self._trainings.cancel()

    def close(self) -> None:
        """Shut the executor down, and remove the rows."""
        if self._folder is not None:
            with suppress(OSError):
                (self._folder / WANTED).unlink(missing_ok=True)
        self._executor.shutdown(wait=not self._interrupted)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _send(self, task: TrialTask | FoldTask, training: Future[Any], refusals: int) -> None:
        try:
            with _interrupts_kept_from_children():
                answer = self._executor.submit(remote.train_from_files, task, self._files, self._admission)
        except Exception as error:
            self._trainings.end(training, _broken(self._source, error))
        else:
            answer.add_done_callback(partial(self._take, task=task, training=training, refusals=refusals))

    def _take(self, answer: Future[Any], task: TrialTask | FoldTask, training: Future[Any], refusals: int) -> None:
        """Pass an answer on, in a thread of the executor."""
        try:
            result = answer.result()
        except NotAdmittedError as refusal:
            if str(refusal) not in self._refused:
                self._refused.add(str(refusal))
                say(f"A process of the executor is left out: {refusal}")
            if refusals + 1 < REFUSALS:
                self._send(task, training, refusals + 1)
            else:
                self._trainings.end(training, StudyError(f"{self._source} has no process for this study: {refusal}"))
        except Exception as error:
            self._trainings.end(training, _broken(self._source, error))
        else:
            self._trainings.end(training, result)

    def _answer(self, function: Callable[[DeviceRequest], _Returned], request: DeviceRequest) -> _Returned:
        try:
            with _interrupts_kept_from_children():
                answer = self._executor.submit(function, request)
            return answer.result()
        except (InsectsError, Interrupted):
            raise
        except Exception as error:
            raise _broken(self._source, error) from error


def _executor_of(source: str) -> Executor:
    module, _, name = source.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # an installed command does not look for modules where it is started
    try:
        executor = getattr(importlib.import_module(module), name)()
    except Interrupted:
        raise
    except Exception as error:  # it is the user's code
        raise StudyError(
            f"{source} gives no executor: {line(error)}; name a function without parameters that returns one",
            parameter="executor",
        ) from error
    if not (hasattr(executor, "submit") and hasattr(executor, "shutdown")):
        raise StudyError(
            f"{source} must give a concurrent.futures.Executor, found {type(executor).__name__}", parameter="executor"
        )
    found: Executor = executor
    return found


def _broken(source: str, error: BaseException) -> StudyError:
    return StudyError(
        f"the executor of {source} failed with {line(error)}; finished trials are kept: mend the cause, then run the "
        "same command again"
    )


@contextmanager
def _interrupts_kept_from_children() -> Iterator[None]:
    """Let processes that are started here never get Ctrl-C, which a terminal sends to all: it is for the search.

    They inherit the mask. A signal that comes meanwhile is delivered afterwards.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
