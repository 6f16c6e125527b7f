"""What people see while a search trains: a live table on a terminal, a line a trial elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from insects.objective import figures_text, metric_column, metric_name, needs_logits
from insects.params import Metric
from insects.text import metric_text
from insects.trial import TrialResult, TrialTask
from search.store.study_folder import without_weights
from search.study.config import FINAL_EPOCHS, FinalSettings
from search.system.terminal import Status, bar, is_live, live_display, say, time_left
from search.workers.in_flight import InFlight
from search.workers.protocol import Workers

BEST_SHOWN, RUNNING_SHOWN = 5, 8
_FIRST_ESTIMATE = 3.0
"""Seconds of training after which the time left is estimated, if no trial has ended: the first are not typical."""

WIDE = 72
"""Columns of a terminal from which on the table has long headers and bars."""
_OTHER_LINES = 6  # the header, the status in up to four lines, the cursor
_VALID_SHARE = 0.2  # of the rows that trials see


class SearchProgress:
    """How far the training of a search is.

    Args:
        total: Trials that the study will have.
        done: Numbers of the trials that an earlier run has finished.
        metric: What the study is about.
        final: The settings of the final.
        workers: Train.
        backlog: Returns what the background still has to do, in words; empty: nothing.

    Attributes:
        ranked: The best complete trials, best first: those that are shown, and the finalists.
        deadline: `time.monotonic()` after which no new trial begins; None: no limit.
    """

    def __init__(
        self,
        *,
        total: int,
        done: Iterable[int],
        metric: Metric,
        final: FinalSettings,
        workers: Workers,
        backlog: Callable[[], str],
    ) -> None:
        self._total, self._done, self._final = total, set(done), final
        self._workers, self._trainings, self.backlog = workers, workers.watched, backlog
        self.metric = metric
        self.ranked: list[TrialResult] = []
        self.deadline: float | None = None
        self._trained = 0  # in this run
        self._networks: list[int] | None = None  # finalists' numbers, one for each network trained; None: no final yet
        self._networks_left: int | None = None  # None: no network has been trained yet
        self._final_began = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the live table within the block, where there can be one."""
        with live_display(LiveTable(self)) if is_live() else nullcontext():
            yield

    def known(self, result: TrialResult) -> None:
        """Take account of a trial of an earlier run."""
        if result.state == "complete" and result.best_epoch:
            ranked = sorted([*self.ranked, without_weights(result)], key=lambda trial: trial.rank)
            self.ranked = ranked[: max(BEST_SHOWN, self._final.finalists)]

    def trained(self, result: TrialResult) -> None:
        """Show a trial that has just ended."""
        self._trained += 1
        self._done.add(result.number)  # it is there already if the result of an earlier run was damaged
        self.known(result)
        if is_live():
            return
        best = "no best yet"
        if self.ranked:
            value = self.ranked[0].best_figures[metric_column(self.metric)]
            best = f"best {metric_name(self.metric)} {metric_text(value)} (trial {self.ranked[0].number})"
        left = self._trials_status().seconds_left or 0.0
        say(
            f"trial {result.number} {result.state}: "
            f"{figures_text(result.best_figures) if result.state != 'failed' else 'no figures'}; "
            f"{len(self._done)} of {self._total} done, {best}, {left:.0f} s of training left"
        )

    def begin_final(self) -> None:
        """Show the final from now on."""
        self._networks, self._final_began = [], time.monotonic()
        if self._final.finalists and not is_live():
            say("Training the best trials again on folds")

    def fold_trained(self, number: int, left: int) -> None:
        """Show that a network of a finalist was trained.

        Args:
            number: The finalist's trial.
            left: Networks that are not on the disk yet.
        """
        assert self._networks is not None, "the final has begun"
        self._networks.append(number)
        self._networks_left = left

    def status(self) -> Status:
        """Return how far the trials, or the final, are."""
        return self._trials_status() if self._networks is None else self._final_status(self._networks)

    @property
    def in_flight(self) -> list[InFlight]:
        """The trainings that have not ended."""
        return self._trainings.in_flight

    @property
    def _at_once(self) -> int:
        return self._workers.count or 1

    def _trials_status(self) -> Status:
        part = sum(training.share_done for training in self.in_flight)
        left = self._total - len(self._done) - part
        done, began = self._trained + part, self._trainings.began
        passed = 0.0 if began is None else time.monotonic() - began
        seconds = None
        if done > 0 and (self._trained or passed >= _FIRST_ESTIMATE):
            seconds = passed / done * left
            if self.deadline is not None:
                seconds = min(seconds, max(0.0, self.deadline - time.monotonic()))
            seconds += self._final_seconds(passed / done * self._at_once)
        text = f"Trials: {len(self._done)} of {self._total} done"
        return Status(text, 1 - left / self._total, seconds)

    def _final_seconds(self, a_trial: float) -> float:
        """Estimate how long the final takes.

        Args:
            a_trial: Seconds that a trial takes; the finalists' own are used as soon as they are known.
        """
        finalists = [trial.seconds for trial in self.ranked[: self._final.finalists]] or [a_trial]
        folds = self._final.folds
        rows = (1 - 1 / folds) / (1 - _VALID_SHARE)  # of a network, in those of a trial
        networks = self._final.finalists * folds
        if not networks:
            return 0.0
        seconds = sum(finalists) / len(finalists) * FINAL_EPOCHS * rows
        return seconds * networks / min(self._at_once, networks)

    def _final_status(self, trained: Sequence[int]) -> Status:
        # All networks are submitted at once, so those in flight are all that are still to be trained.
        cost = {trial.number: trial.seconds for trial in self.ranked[: self._final.finalists]}
        in_flight = self.in_flight
        parts = [(cost.get(training.trial.number, 1.0), training.share_done) for training in in_flight]
        if not in_flight:
            return Status("Final: choosing", 1.0, None)
        done = sum(cost.get(number, 1.0) for number in trained) + sum(each * part for each, part in parts)
        left = sum(each * (1 - part) for each, part in parts)
        not_stored = len(in_flight) if self._networks_left is None else self._networks_left
        text = f"Final: {len(trained)} of {len(trained) + not_stored} networks"
        return Status(text, done / (done + left), time_left(self._final_began, done, left))


class LiveTable:
    """The best trials, those in flight, and what is left, as wide and as high as the terminal allows.

    Args:
        progress: What is shown.
    """

    def __init__(self, progress: SearchProgress) -> None:
        self._progress = progress

    def lines(self, width: int, height: int) -> list[tuple[str, str]]:
        """Return what is shown; see `search.system.terminal.Lines`."""
        progress, is_wide = self._progress, width >= WIDE
        in_flight = progress.in_flight
        room = max(2, height - _OTHER_LINES)
        # Networks of the final that wait are many and alike.
        shown = [training for training in in_flight if training.progress or training.fold is None]
        running = sorted(shown, key=lambda training: training.progress is None)[: min(RUNNING_SHOWN, room - 1)]
        best = progress.ranked[: min(BEST_SHOWN, room - len(running))]
        lines = self._table(best, running, is_wide)
        lines.append((progress.status().line(width), ""))
        if progress.ranked:
            first = progress.ranked[0]
            figures = figures_text(first.best_figures).removeprefix("validation ")
            lines.append((f"Best so far: trial {first.number}, {figures}", ""))
        if backlog := progress.backlog():
            lines.append((f"MLflow: {backlog}", ""))
        return lines

    def _table(self, best: Sequence[TrialResult], running: Sequence[InFlight], is_wide: bool) -> list[tuple[str, str]]:
        metric = self._progress.metric
        names = ["trial", "depth", "width", "lr", "batch", "epoch", "loss", "accuracy"]
        if not is_wide:
            names = ["#", *names[1:-1], "acc."]
        has_score = needs_logits(metric) and is_wide
        names += [metric_name(metric)] if has_score else []
        rows, styles, notes = [names], ["bold"], [""]
        for place, trial in enumerate(best):
            figures = [trial.valid_loss, trial.valid_accuracy]
            figures += [trial.best_figures[metric_column(metric)]] if has_score else []
            cells = [*_configuration(trial), str(trial.best_epoch)]
            rows.append([*cells, *map(metric_text, figures)])
            styles.append("green" if place == 0 else "")
            notes.append("best" if place == 0 else "")
        for training in running:
            progress, epochs = training.progress, training.trial.recipe.epochs
            done = "-" if progress is None else progress.shown_epochs(digits=2 if is_wide else 1)
            last = None if progress is None else progress.last
            figures_shown = [metric_text(value) for value in last or ()]
            rows.append([*_configuration(training.trial), f"{done}/{epochs}", *figures_shown])
            styles.append("dim" if progress is None else "cyan")
            notes.append(_note(training))
        lines = aligned(rows, gap=2 if is_wide else 1)
        if is_wide:
            lines = [f"{line}  {note}" for line, note in zip(lines, notes, strict=True)]
        return list(zip(lines, styles, strict=True))


def aligned(rows: Sequence[Sequence[str]], gap: int) -> list[str]:
    """Return rows of cells as lines, each column as wide as its widest cell and at the right.

    Args:
        rows: The rows; the first is the longest.
        gap: Blanks between two columns.

    Examples:
        >>> aligned([["a", "bcd"], ["100", "2"], ["1"]], gap=1)
        ['  a bcd', '100   2', '  1    ']
    """
    filled = [[*row, *[""] * (len(rows[0]) - len(row))] for row in rows]
    widths = [max(map(len, column)) for column in zip(*filled, strict=True)]
    return [(" " * gap).join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in filled]


def _configuration(trained: TrialResult | TrialTask) -> list[str]:
    params = trained.params
    return [str(trained.number), str(params.depth), str(params.width), f"{params.lr:.2g}", str(params.batch_size)]


def _note(training: InFlight) -> str:
    """What stands at the end of the row of a training: the fold of a network of the final, and how far it is."""
    if training.progress is None:
        return "waits" if training.is_followed else ""
    fold = "" if training.fold is None else f"fold {training.fold + 1} "
    return fold + bar(training.share_done, width=10)
