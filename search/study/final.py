"""The final: the best trials are trained again on folds, all at once, and the best of them is chosen.

Which trials are finalists follows from the results alone, and each network from the seed, the trial and the fold. So
the outcome depends neither on the number of workers nor on interruptions: a network on the disk is not trained again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from insects.expected import expected_accuracy
from insects.final import Finalist, FoldResult, FoldTask, chosen_finalist
from insects.trial import TrialResult, TrialTask
from search.store.final_record import FinalRecord
from search.store.study_folder import StudyFolder
from search.study.config import FINAL_EPOCHS, StudyConfig, study_digest
from search.study.task_pool import TaskPool
from search.system.signals import StopFlag
from search.workers.protocol import Workers


class FinalListener(Protocol):
    """Hears of the final, in the thread that runs it."""

    def fold_trained(self, result: FoldResult, left: int) -> None:
        """Handle a network that was trained in this run, with `left` more to train; it is on the disk."""

    def finalist_trained(self, number: int, folds: int) -> None:
        """Handle a finalist whose networks are all on the disk."""


@dataclass
class Final:
    """One run of the final.

    Attributes:
        config: The study's settings.
        folds: The number of folds.
        units: The number of groups, where rows belong to groups; None: every row stands for itself.
        folder: Where its results are.
        workers: Train the networks.
        stop: Set by a signal.
        listeners: Hear of each network.
        waited: Seconds that this thread waited for training.
    """

    config: StudyConfig
    folds: int
    units: int | None
    folder: StudyFolder
    workers: Workers
    stop: StopFlag
    listeners: Sequence[FinalListener] = ()
    waited: float = 0.0
    _left: dict[int, int] = field(default_factory=dict)

    def run(self, results: Sequence[TrialResult]) -> FinalRecord:
        """Train what is missing, choose a finalist and return the outcome, which is on the disk.

        Args:
            results: All trials of the study.

        Raises:
            StoreError: A result cannot be stored.
            Interrupted: A signal asked to stop. The networks that were trained are on the disk.
        """
        chosen_trials = finalists_of(results, self.config.final.finalists)
        self._left = dict.fromkeys((trial.number for trial in chosen_trials), self.folds)
        pool: TaskPool[FoldResult] = TaskPool(self.workers, self.stop, self._store)
        try:
            for trial in chosen_trials:  # one after the other, so that the first is uploaded while others are trained
                for fold in range(self.folds):
                    if not self._is_known(trial.number, fold):
                        pool.add(self.workers.submit(self._task(trial, fold)))
                pool.collect(block=False)
                self.stop.check()
            while len(pool):
                pool.collect(block=True)
                self.stop.check()
        except BaseException:
            pool.abandon()
            self.stop.check()
            raise
        finally:
            self.waited += pool.waited
        record = self._outcome(results, [trial.number for trial in chosen_trials])
        self.folder.save_final(record)
        return record

    def _task(self, trial: TrialResult, fold: int) -> FoldTask:
        recipe = replace(self.config.recipe, epochs=FINAL_EPOCHS * self.config.recipe.epochs)
        task = TrialTask(
            number=trial.number,
            params=trial.params,
            recipe=recipe,
            seed=self.config.seed,
            prune_above=np.full(recipe.epochs, np.inf),
            engine=self.config.choice.engine,
            device=self.config.choice.device,
        )
        return FoldTask(task, fold)

    def _is_known(self, number: int, fold: int) -> bool:
        if self.folder.load_fold(number, fold) is None:
            return False
        self._end(number)
        return True

    def _store(self, results: list[FoldResult]) -> None:
        self.folder.save_fold(*results)
        for result in results:
            self._end(result.trial.number)
            for listener in self.listeners:
                listener.fold_trained(result, sum(self._left.values()))

    def _end(self, number: int) -> None:
        self._left[number] -= 1
        if not self._left[number]:
            for listener in self.listeners:
                listener.finalist_trained(number, self.folds)

    def _outcome(self, results: Sequence[TrialResult], numbers: list[int]) -> FinalRecord:
        loaded = [self.folder.load_finalist(number, self.folds) for number in numbers]
        finalists = [finalist for finalist in loaded if finalist is not None]
        chosen = chosen_finalist(finalists)
        expected = None if chosen is None else expected_accuracy(finalists, self.units)
        return FinalRecord(
            trials=study_digest(results),
            folds=self.folds,
            finalists=numbers,
            chosen=None if chosen is None else chosen.number,
            accuracy=None if expected is None else expected.accuracy,
            interval=[] if expected is None else [expected.low, expected.high],
            loss=None if chosen is None else chosen.figures["loss"],
        )


def finalists_of(results: Sequence[TrialResult], count: int) -> list[TrialResult]:
    """Return the `count` best complete trials, best first; fewer if fewer have a finite loss."""
    complete = [result for result in results if result.state == "complete" and result.best_epoch]
    return sorted(complete, key=lambda result: result.rank)[:count]


def finalists_in(folder: StudyFolder) -> list[Finalist]:
    """Read the finalists of a study's last final, best trial first; none where there was no final."""
    record = folder.final()
    if record is None:
        return []
    loaded = (folder.load_finalist(number, record.folds) for number in record.finalists)
    return [finalist for finalist in loaded if finalist is not None]


def is_held(folder: StudyFolder) -> bool:
    """Tell whether the final of all trials that a study has is done."""
    record = folder.final()
    return record is not None and record.trials == study_digest(folder.results_without_weights())
