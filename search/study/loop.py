"""The study's loop: a window of trials in flight, asked and told in the order of their numbers.

Trial n is asked when exactly the trials up to n - window have been told. So results depend neither on the number of
workers nor on which trial ends first, and an interrupted study goes on as if it had never stopped: a trial without a
result on the disk is asked again, with the same answer, and trained again. A trial that would be the same whatever was
told is asked as soon as a worker has time for it.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from insects.errors import StudyError
from insects.trial import TrialResult, TrialTask
from search.store.study_folder import StudyFolder, without_weights
from search.study.config import StudyConfig
from search.study.sampler import Proposer
from search.study.task_pool import TaskPool
from search.system.signals import StopFlag
from search.workers.protocol import Workers

FAILURES_IN_A_ROW = 10

QUEUED, MOST_QUEUED = 2, 250
"""Independent trials in flight for each worker, and workers where their number is not known. More of them would only
outlive `--timeout`."""


class TrialListener(Protocol):
    """Hears of trials, in the loop's thread."""

    def trained(self, result: TrialResult) -> None:
        """Handle a trial that was trained in this run; its result is on the disk."""

    def known(self, result: TrialResult) -> None:
        """Handle a trial that an earlier run has finished."""


class TrialExport(Protocol):
    """Optuna's copy of the study, in the loop's thread."""

    def add(self, result: TrialResult) -> None:
        """Write the next trial in the order of their numbers; one that is there already is skipped."""


@dataclass
class LoopSeconds:
    """Seconds of the loop's thread; the rest of its time is spent on storing."""

    sampling: float = 0.0
    waiting: float = 0.0


@dataclass
class StudyLoop:
    """One run of the loop.

    Attributes:
        config: The study's settings.
        folder: Where its results are.
        journal: Optuna's copy of them.
        proposer: The sampler.
        workers: Train the trials.
        stop: Set by a signal.
        listeners: Hear of each trial.
        seconds: Where the time goes.
    """

    config: StudyConfig
    folder: StudyFolder
    journal: TrialExport
    proposer: Proposer
    workers: Workers
    stop: StopFlag
    listeners: Sequence[TrialListener] = ()
    seconds: LoopSeconds = field(default_factory=LoopSeconds)
    _results: dict[int, TrialResult] = field(default_factory=dict)
    _failures: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._pool: TaskPool[TrialResult] = TaskPool(self.workers, self.stop, self._store)

    def run(self, trials: int, deadline: float | None = None) -> list[TrialResult]:
        """Bring the study to `trials` trials and return all of them, without their weights, in order.

        Args:
            trials: Trials that the study has when this returns.
            deadline: `time.monotonic()` after which no new trial is asked. Trials that an earlier run asked are
                finished all the same.

        Raises:
            StudyError: Too many trials in a row failed.
            StoreError: A result cannot be stored.
            Interrupted: A signal asked to stop. The trials that had ended are on the disk.
        """
        try:
            asked, begun = 0, asked_before(self.folder.numbers(), self.config)
            for number in range(trials):
                self.stop.check()
                if self.config.is_independent(number):
                    self._wait_for_room(number)
                else:
                    self._tell_to(number - self.config.window)
                if deadline is not None and time.monotonic() >= deadline and number >= begun:
                    break
                self._ask(number)
                asked = number + 1
            self._tell_to(asked - 1)
        except BaseException:
            self._pool.abandon()
            self.stop.check()
            raise
        finally:
            self.seconds.waiting += self._pool.waited
        return list(self.proposer.told)

    def _ask(self, number: int) -> None:
        known = self.folder.load(number)
        started = time.perf_counter()
        if known is not None:
            self.proposer.assume(number, known.params)
            self._results[number] = without_weights(known)
            for listener in self.listeners:
                listener.known(known)
            return
        params = self.proposer.ask(number)
        task = TrialTask(
            number=number,
            params=params,
            recipe=self.config.recipe,
            seed=self.config.seed,
            prune_above=self.config.pruner.prune_above(self.proposer.told, self.config.recipe.epochs),
            engine=self.config.choice.engine,
            device=self.config.choice.device,
        )
        self._pool.add(self.workers.submit(task))
        self.seconds.sampling += time.perf_counter() - started
        self._pool.collect(block=False)

    def _wait_for_room(self, number: int) -> None:
        """Wait until a worker will soon have time for a trial that depends on no other."""
        while True:
            # In order and as far as any trial would be told by now, so that ten failures in a row are noticed.
            while (told := len(self.proposer.told)) in self._results and told <= number - self.config.window:
                self._tell(told)
            if len(self._pool) < max(self.config.window, QUEUED * (self.workers.count or MOST_QUEUED)):
                return
            self._pool.collect(block=True)

    def _tell_to(self, last: int) -> None:
        for number in range(len(self.proposer.told), last + 1):
            while number not in self._results:
                self._pool.collect(block=True)
            self._tell(number)

    def _tell(self, number: int) -> None:
        result = self._results.pop(number)
        self.journal.add(result)
        started = time.perf_counter()
        self.proposer.tell(result)
        self.seconds.sampling += time.perf_counter() - started
        self._check_failures(result)

    def _store(self, results: list[TrialResult]) -> None:
        self.folder.save(*results)
        for result in results:
            if result.state == "failed":
                self._failures.add(result.number)
            self._results[result.number] = without_weights(result)
            for listener in self.listeners:
                listener.trained(result)

    def _check_failures(self, told: TrialResult) -> None:
        """Stop at the tenth trial in a row that failed in this run; the same command goes on with the trials left."""
        if self._failures.issuperset(range(told.number - FAILURES_IN_A_ROW + 1, told.number + 1)):
            cause = told.reason.strip().rpartition("\n")[2]
            raise StudyError(
                f"{FAILURES_IN_A_ROW} trials in a row failed, the last (trial {told.number}) with: {cause}; mend the "
                "cause (the tracebacks are in MLflow), then run the same command again: it goes on with the trials "
                "that are left of --trials"
            )


def asked_before(finished: Sequence[int], config: StudyConfig) -> int:
    """Return how many trials earlier runs asked, as far as the numbers of the finished trials tell.

    A trial that did not end may lie below others that did, which may be in MLflow already, so it belongs to the study
    too. From the first trial that depends on others, none was asked beyond a window from the first missing one; a gap
    there is left by deleted results.

    Args:
        finished: The numbers of the finished trials, ascending.
        config: The study's settings.
    """
    known = set(finished)
    first_missing = next(number for number in itertools.count() if number not in known)
    end = first_missing + config.window
    asked = max(finished, default=-1) + 1
    while end < asked and config.is_independent(end):
        end += 1
    return min(asked, end)
