"""The training of a search: the trials, then the final, with what people see of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from insects.final import FoldResult
from insects.objective import figures_text, metric_column, metric_name
from insects.trial import TrialResult
from search.store.store import Store
from search.store.study_folder import StoredData, StudyFolder
from search.study.config import StudyConfig, fingerprint_digest
from search.study.final import Final, is_held
from search.study.journal import OptunaJournal
from search.study.loop import LoopSeconds, StudyLoop, TrialListener
from search.study.sampler import Proposer
from search.study.workers import report_idle, start_compiling, trials_at_once
from search.system.signals import StopFlag
from search.system.terminal import FinalProgress, TrialProgress, say
from search.upload.uploader import Uploader


class Training:
    """The study's loop and its final, with threads, progress display and uploads.

    It hears of trials and networks; see `search.study.loop.TrialListener` and `search.study.final.FinalListener`.

    Args:
        config: The study's settings.
        data: The data.
        store: The store that the study is in.
        folder: The study.
        trials: Trials that the study has when training ends.
        workers: Trained side by side; None: one a core.
        timeout: Seconds after which no new trial is asked; None: no limit.
        flag: Set by a signal.
        uploader: Uploads what is trained.
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
        workers: int | None,
        timeout: float | None,
        flag: StopFlag,
        uploader: Uploader,
        listeners: Sequence[TrialListener] = (),
    ) -> None:
        splits, numbers = data.splits, folder.numbers()
        self._trials, self._folder, self._choice, self._timeout = trials, folder, config.choice, timeout
        self._workers = 1
        if len(numbers) < trials or (config.final.finalists and not is_held(folder)):
            self._workers = trials_at_once(workers, config, splits)
            report_idle(self._workers, config.window)
            uploader.expect_model()
            if config.choice.engine == "compiled":
                start_compiling()
        self._final_progress = FinalProgress()
        self._progress = TrialProgress(trials, numbers, metric_name(config.recipe.metric))
        self._spans: list[tuple[float, float]] = []
        self.count, self.final_seconds = 0, 0.0
        self.seconds = LoopSeconds()
        digest = fingerprint_digest(folder.fingerprint)
        self._loop = partial(
            StudyLoop,
            config=config,
            splits=splits,
            folder=folder,
            journal=OptunaJournal(
                store.journal, folder.name, digest, len(numbers), config.space, config.configs, config.recipe.metric
            ),
            proposer=Proposer(config.space, config.sampler, config.seed, config.configs),
            stop=flag,
            listeners=(uploader, self, *listeners),
            seconds=self.seconds,
        )
        self._final: Callable[..., Final] | None = None
        if config.final.finalists:
            fold_N = data.fold_rows.draw(config.final.folds)
            folder.save_folds(fold_N)
            uploader.score_baselines()
            self._final = partial(
                Final,
                config=config,
                rows=data.fold_rows,
                folds=fold_N,
                folder=folder,
                stop=flag,
                listeners=(uploader, self),
            )

    def run(self) -> list[TrialResult]:
        """Train what is left, hold the final, and return the results of all trials."""
        choice = self._choice
        say(f"Study {self._folder.name}: {choice.engine} engine on the {choice.device} ({choice.reason})")
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        with ThreadPoolExecutor(self._workers, thread_name_prefix="trial") as executor:
            try:
                results = self._loop(executor=executor).run(self._trials, deadline)
            finally:
                self._progress.close()
            if self._final is not None:
                self._hold_final(self._final(executor=executor), results)
            return results

    def _hold_final(self, final: Final, results: list[TrialResult]) -> None:
        started = time.perf_counter()
        with self._final_progress:
            final.run(results)
        self.seconds.waiting += final.waited
        self.final_seconds = time.perf_counter() - started

    def fold_trained(self, result: FoldResult, left: int) -> None:
        """Show that a network of a finalist was trained."""
        self._final_progress.show(left)

    def finalist_trained(self, number: int, folds: int) -> None:
        """Do nothing; see `search.study.final.FinalListener`."""

    def trained(self, result: TrialResult) -> None:
        """Show a trial that was trained in this run."""
        self.count += 1
        self._spans.append((result.started, result.started + result.seconds))
        self._progress.finished(result.state, figures_text(result.best_figures), result.rank, _shown(result))

    def known(self, result: TrialResult) -> None:
        """Take account of a trial of an earlier run."""
        if result.state == "complete":
            self._progress.known(result.rank, _shown(result))

    def covered_seconds(self) -> float:
        """Return the seconds in which at least one trial was being trained."""
        total, end = 0.0, float("-inf")
        for start, stop in sorted(self._spans):
            total += max(0.0, stop - max(start, end))
            end = max(end, stop)
        return total


def _shown(result: TrialResult) -> float:
    """Return the metric of a trial's best epoch."""
    return result.best_figures[metric_column(result.metric)]
