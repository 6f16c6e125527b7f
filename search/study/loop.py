"""The study's loop: a window of trials in flight, asked and told in the order of their numbers.

What is told before each ask is fixed (trial n is asked when just the trials up to n - window are told), so results
depend neither on the number of workers nor on which trial ends first, and an interrupted study goes on as if it had
never stopped: a trial without a result on disk is asked again, with the same answer, and trained again.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from dataclasses import replace as replaced

import numpy as np

from insects.errors import StoreError, StudyError
from insects.splits import Splits
from insects.training import TrainingInterrupted
from insects.trial import TrialResult, TrialTask, run_trial
from search.store.study_folder import StudyFolder
from search.study.config import Plan
from search.study.journal import Ledger
from search.study.sampler import Proposer
from search.system.signals import StopFlag
from search.system.spawn import starting

FAILURES_IN_A_ROW = 10

# Python handles a signal between two of its instructions: one that comes just before the wait is seen after it.
_SIGNAL_SECONDS = 1.0


@dataclass
class Clock:
    """Seconds of the loop's thread; the rest of its time goes into storing."""

    sampling: float = 0.0
    waiting: float = 0.0


@dataclass
class StudyLoop:
    """One run of the loop.

    on_result: called in the loop's thread for each trial that was trained in this run, once it is on disk. on_known:
    for each trial that an earlier run had finished.
    """

    plan: Plan
    splits: Splits
    folder: StudyFolder
    ledger: Ledger
    proposer: Proposer
    executor: Executor
    stop: StopFlag
    on_result: Callable[[TrialResult], None]
    on_known: Callable[[TrialResult], None]
    clock: Clock = field(default_factory=Clock)
    _futures: dict[Future[TrialResult], int] = field(default_factory=dict)
    _results: dict[int, TrialResult] = field(default_factory=dict)

    def run(self, trials: int, deadline: float | None = None) -> list[TrialResult]:
        """Bring the study to `trials` trials and return all of them, without their weights, in order.

        deadline: `time.monotonic()` after which nothing new is asked; what any run asked is finished.
        Raises: StudyError: too many trials in a row failed. StoreError: a result cannot be kept. Interrupted: a signal
        asked to stop; what had been finished is on disk.
        """
        try:
            asked, begun = 0, asked_before(self.folder.numbers(), self.plan.window)
            for number in range(trials):
                self.stop.check()
                if number >= self.plan.window:
                    self._tell(number - self.plan.window)
                if deadline is not None and time.monotonic() >= deadline and number >= begun:
                    break
                self._ask(number)
                asked = number + 1
            for number in range(max(0, asked - self.plan.window), asked):
                if number >= len(self.proposer.told):
                    self._tell(number)
        except BaseException:
            self._abandon()
            self.stop.check()
            raise
        return list(self.proposer.told)

    def _ask(self, number: int) -> None:
        known = self._load(number)
        started = time.perf_counter()
        if known is not None:
            self.proposer.assume(number, known.params)
            self._results[number] = known
            self.on_known(known)
            return
        params = self.proposer.ask(number)
        stops = self.plan.stopping.thresholds(self.proposer.told, self.plan.recipe.epochs)
        task = TrialTask(
            number=number,
            params=params,
            recipe=self.plan.recipe,
            seed=self.plan.seed,
            stops=stops,
            engine=self.plan.choice.engine,
            device=self.plan.choice.device,
        )
        with starting():
            future = self.executor.submit(run_trial, task, self.splits, self.stop.array)
        self._futures[future] = number
        self.clock.sampling += time.perf_counter() - started
        self._collect(block=False)

    def _tell(self, number: int) -> None:
        while number not in self._results:
            self._collect(block=True)
        result = self._results.pop(number)
        is_new = number >= self.ledger.told
        if is_new:
            self.ledger.tell(result)
        started = time.perf_counter()
        self.proposer.tell(result)
        self.clock.sampling += time.perf_counter() - started
        if is_new:
            self._check_failures()

    def _collect(self, block: bool) -> None:
        """Put the trials that have ended on disk, whatever their order; `block` waits for one, or some time."""
        started = time.perf_counter()
        done, _ = wait(self._futures, timeout=_SIGNAL_SECONDS if block else 0, return_when=FIRST_COMPLETED)
        self.clock.waiting += time.perf_counter() - started
        for future in sorted(done, key=self._futures.__getitem__):
            self._keep(future)

    def _keep(self, future: Future[TrialResult]) -> None:
        try:
            result = future.result()
        except TrainingInterrupted:
            self.stop.check()
            raise
        self.folder.save(result)
        del self._futures[future]
        self._results[result.number] = _light(result)
        self.on_result(result)

    def _load(self, number: int) -> TrialResult | None:
        result = self.folder.load(number)
        return result and _light(result)

    def _check_failures(self) -> None:
        """Stop at each `FAILURES_IN_A_ROW`th failure, once: run again, the study goes on to the next one."""
        failed = list(itertools.takewhile(lambda result: result.state == "failed", reversed(self.proposer.told)))
        if failed and len(failed) % FAILURES_IN_A_ROW == 0:
            cause = failed[0].reason.strip().rpartition("\n")[2]
            raise StudyError(
                f"{len(failed)} trials in a row failed, the last (trial {failed[0].number}) with: {cause}; mend the "
                "cause (the tracebacks go to MLflow), then run the same command again: it goes on with the trials that "
                "are left of --trials"
            )

    def _abandon(self) -> None:
        """Stop training; what has just ended is still kept."""
        self.stop.array[0] = 1
        for future in self._futures:
            future.cancel()
        while wait(self._futures, _SIGNAL_SECONDS).not_done:
            pass
        self.stop.array[0] = self.stop.came
        for future in [f for f in self._futures if not f.cancelled() and f.exception() is None]:
            with suppress(StoreError):  # what made the search stop is what is told; the trial is trained again
                self._keep(future)


def asked_before(finished: Sequence[int], window: int) -> int:
    """How many trials earlier runs asked, as far as the numbers of the finished ones tell.

    Those that did not end lie below others that did, which are in MLflow already: they belong to the study too. Nothing
    was asked beyond a window from the first of them; what lies there lacks results that were deleted.
    """
    known = set(finished)
    first_missing = next(number for number in itertools.count() if number not in known)
    return min(max(finished, default=-1) + 1, first_missing + window)


def _light(result: TrialResult) -> TrialResult:
    """Without the weights, which stay on disk: a study's memory must not grow with them."""
    return replaced(result, weights=np.empty(0, np.float32))
