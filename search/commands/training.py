"""The training of a search: the trials, then the final, with what people see of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing

from insects.final import FoldResult
from insects.tasks import StudyRows
from insects.trial import TrialResult
from search.commands.progress import SearchProgress
from search.store.store import Store
from search.store.study_folder import StoredData, StudyFolder
from search.study.config import StudyConfig, fingerprint_digest
from search.study.final import Final, is_held
from search.study.journal import OptunaJournal
from search.study.loop import LoopSeconds, StudyLoop, TrialExport, TrialListener
from search.study.sampler import Proposer
from search.study.workers import MemoryFit, report_idle, start_loading
from search.system.signals import StopFlag
from search.system.terminal import say
from search.upload.uploader import Uploader
from search.workers.protocol import Workers
from search.workers.threads import ThreadWorkers


class Training:
    """The study's loop and its final, with workers, progress display and uploads.

    It hears of trials and networks; see `search.study.loop.TrialListener` and `search.study.final.FinalListener`.

    Args:
        config: The study's settings.
        data: The data.
        store: The store that the study is in.
        folder: The study.
        trials: Trials that the study has when training ends.
        workers: Train; closed when `run` ends.
        timeout: Seconds after which no new trial is asked; None: no limit.
        flag: Set by a signal.
        uploader: Uploads what is trained.
        export: Optuna's copy of the study; None: the store's journal.
        listeners: Hear of each trial, after the others.

    Attributes:
        count: Trials that were trained in this run.
        seconds: Where the time of the loop's thread went.
        final_seconds: Seconds that the final took.
    """

    def __init__(
        self,
        *,
        config: StudyConfig,
        data: StoredData,
        store: Store,
        folder: StudyFolder,
        trials: int,
        workers: Workers,
        timeout: float | None,
        flag: StopFlag,
        uploader: Uploader,
        export: TrialExport | None = None,
        listeners: Sequence[TrialListener] = (),
    ) -> None:
        numbers = folder.numbers()
        self._trials, self._folder, self._choice, self._timeout = trials, folder, config.choice, timeout
        self._workers = workers
        fold_N = data.fold_rows.draw(config.final.folds) if config.final.finalists else None
        rows = StudyRows(data.splits, fold_N)
        if len(numbers) == trials and (fold_N is None or is_held(folder)):
            # Only what turns out to be damaged is trained again.
            workers.open(rows, lambda free, wanted: 1, folder.path)
        else:
            workers.open(rows, MemoryFit(config, data.splits), folder.path)
            report_idle(workers.count, config, trials)
            uploader.expect_model()
            if isinstance(workers, ThreadWorkers):
                workers.ready = start_loading(config.choice.engine)
        self._progress = SearchProgress(
            total=trials,
            done=numbers,
            metric=config.recipe.metric,
            final=config.final,
            workers=workers,
            backlog=uploader.backlog,
        )
        self._spans: list[tuple[float, float]] = []
        self.count, self.final_seconds = 0, 0.0
        self.seconds = LoopSeconds()
        self._export = export or _journal(store, folder, config)
        self._loop = StudyLoop(
            config=config,
            folder=folder,
            workers=workers,
            journal=self._export,
            proposer=Proposer(config.space, config.sampler, config.seed, config.configs),
            stop=flag,
            listeners=(uploader, self, *listeners),
            seconds=self.seconds,
        )
        self._final: Final | None = None
        if fold_N is not None:
            folder.save_folds(fold_N)
            uploader.score_baselines()
            self._final = Final(
                config=config,
                folds=int(fold_N.max()) + 1,
                units=data.fold_rows.independent_units,
                folder=folder,
                workers=workers,
                stop=flag,
                listeners=(uploader, self),
            )

    def run(self) -> list[TrialResult]:
        """Train what is left, hold the final, and return the results of all trials."""
        choice = self._choice
        say(f"Study {self._folder.name}: {choice.engine} engine on the {choice.device} ({choice.reason})")
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        self._progress.deadline = deadline
        with closing(self._workers), self._progress.shown():  # closed while the study is still locked
            results = self._loop.run(self._trials, deadline)
            if isinstance(self._export, OptunaJournal):
                self._export.sync()
            if self._final is not None:
                self._hold_final(self._final, results)
            return results

    def _hold_final(self, final: Final, results: list[TrialResult]) -> None:
        started = time.perf_counter()
        self._progress.begin_final()
        final.run(results)
        self.seconds.waiting += final.waited
        self.final_seconds = time.perf_counter() - started

    def fold_trained(self, result: FoldResult, left: int) -> None:
        """Show that a network of a finalist was trained."""
        self._progress.fold_trained(result.trial.number, left)

    def finalist_trained(self, number: int, folds: int) -> None:
        """Do nothing; see `search.study.final.FinalListener`."""

    def trained(self, result: TrialResult) -> None:
        """Show a trial that was trained in this run."""
        self.count += 1
        self._spans.append((result.started, result.started + result.seconds))
        self._progress.trained(result)

    def known(self, result: TrialResult) -> None:
        """Take account of a trial of an earlier run."""
        self._progress.known(result)

    def covered_seconds(self) -> float:
        """Return the seconds in which at least one trial was being trained."""
        total, end = 0.0, float("-inf")
        for start, stop in sorted(self._spans):
            total += max(0.0, stop - max(start, end))
            end = max(end, stop)
        return total


def _journal(store: Store, folder: StudyFolder, config: StudyConfig) -> OptunaJournal:
    return OptunaJournal(
        store.journal,
        folder.name,
        fingerprint_digest(folder.fingerprint),
        len(folder.numbers()),
        config.space,
        config.configs,
        config.recipe.metric,
    )
