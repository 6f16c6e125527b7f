"""What people see while a search trains: a live table on a terminal, a line a trial elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

from insects.objective import figures_text, metric_column, metric_name, needs_logits
from insects.params import Metric
from insects.trial import TrialResult, TrialTask
from search.study.config import FINAL_EPOCHS, FinalSettings
from search.study.workers import InFlight
from search.system.terminal import StatusLine, is_live, live_display, say, time_left

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

BEST_SHOWN, RUNNING_SHOWN = 5, 8
WIDE = 72
"""Columns of a terminal from which on the table has long headers and bars."""
_VALID_SHARE = 0.2  # of the rows that trials see


class Trainings(Protocol):
    """What is being trained; see `search.study.workers.TrainingThreads`."""

    @property
    def began(self) -> float | None: ...
    @property
    def in_flight(self) -> list[InFlight]: ...


class SearchProgress:
    """How far the training of a search is.

    Args:
        total: Trials that the study will have.
        done: Numbers of the trials that an earlier run has finished.
        metric: What the study is about.
        final: The settings of the final.
        workers: Trials trained side by side.
        trainings: What is being trained.
        backlog: Returns what the background still has to do, in words; empty: nothing.

    Attributes:
        ranked: Complete trials, best first.
        deadline: `time.monotonic()` after which no new trial begins; None: no limit.
    """

    def __init__(
        self,
        *,
        total: int,
        done: Iterable[int],
        metric: Metric,
        final: FinalSettings,
        workers: int,
        trainings: Trainings,
        backlog: Callable[[], str],
    ) -> None:
        self._total, self._done, self._final = total, set(done), final
        self._workers, self._trainings, self.backlog = workers, trainings, backlog
        self.metric = metric
        self.ranked: list[TrialResult] = []
        self.deadline: float | None = None
        self._trained = 0  # in this run
        self._networks: list[int] | None = None  # finalists' numbers, one for each network trained; None: no final yet
        self._final_began = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the live table within the block, where there can be one."""
        with live_display(LiveTable(self)) if is_live() else nullcontext():
            yield

    def known(self, result: TrialResult) -> None:
        """Take account of a trial of an earlier run."""
        if result.state == "complete":
            self.ranked = sorted([*self.ranked, result], key=lambda trial: trial.rank)

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
            best = f"best {metric_name(self.metric)} {value:.4f} (trial {self.ranked[0].number})"
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

    def fold_trained(self, number: int) -> None:
        """Show that a network of a finalist was trained.

        Args:
            number: The finalist's trial.
        """
        assert self._networks is not None, "the final has begun"
        self._networks.append(number)

    def status(self) -> StatusLine:
        """Return how far the trials, or the final, are."""
        return self._trials_status() if self._networks is None else self._final_status(self._networks)

    @property
    def in_flight(self) -> list[InFlight]:
        """The trainings that have not ended."""
        return self._trainings.in_flight

    def _trials_status(self) -> StatusLine:
        part = sum(share_done(training) for training in self.in_flight)
        left = self._total - len(self._done) - part
        done, began = self._trained + part, self._trainings.began
        seconds = None if began is None else time_left(began, done, left)
        if seconds is not None and self.deadline is not None:
            seconds = min(seconds, max(0.0, self.deadline - time.monotonic()))
        if seconds is not None and began is not None:
            seconds += self._final_seconds((time.monotonic() - began) / done * self._workers)
        text = f"Trials: {len(self._done)} of {self._total} done"
        return StatusLine(text, 1 - left / self._total, seconds)

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
        return seconds * networks / min(self._workers, networks)

    def _final_status(self, trained: Sequence[int]) -> StatusLine:
        # All networks are submitted at once, so those in flight are all that are left.
        cost = {trial.number: trial.seconds for trial in self.ranked[: self._final.finalists]}
        in_flight = self.in_flight
        parts = [(cost.get(training.trial.number, 1.0), share_done(training)) for training in in_flight]
        if not in_flight:
            return StatusLine("Final: choosing", 1.0, None)
        done = sum(cost.get(number, 1.0) for number in trained) + sum(each * part for each, part in parts)
        left = sum(each * (1 - part) for each, part in parts)
        text = f"Final: {len(trained)} of {len(trained) + len(in_flight)} networks"
        return StatusLine(text, done / (done + left), time_left(self._final_began, done, left))


def share_done(training: InFlight) -> float:
    """Return how much of a training is done, from 0 to 1."""
    return training.progress.epochs / training.trial.recipe.epochs


class LiveTable:
    """The best trials, those in flight, and what is left, as wide and as high as the terminal allows.

    Args:
        progress: What is shown.
    """

    def __init__(self, progress: SearchProgress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines; called at each redraw."""
        progress, is_wide = self._progress, options.max_width >= WIDE
        in_flight = progress.in_flight
        # Five lines are for the header, the status and the cursor.
        room = max(2, console.size.height - 6)
        # Networks of the final that wait are many and alike.
        shown = [training for training in in_flight if training.is_running or training.fold is None]
        running = sorted(shown, key=lambda training: not training.is_running)[: min(RUNNING_SHOWN, room - 1)]
        best = progress.ranked[: min(BEST_SHOWN, room - len(running))]
        yield self._table(best, running, is_wide)
        yield progress.status()
        if progress.ranked:
            first = progress.ranked[0]
            yield f"Best so far: trial {first.number}, " + figures_text(first.best_figures).removeprefix("validation ")
        if backlog := progress.backlog():
            yield f"MLflow: {backlog}"

    def _table(self, best: Sequence[TrialResult], running: Sequence[InFlight], is_wide: bool) -> Table:
        from rich.table import Table

        table = Table(box=None, padding=(0, 2 if is_wide else 1, 0, 0), pad_edge=False, header_style="bold")
        metric = self._progress.metric
        names = ["trial", "depth", "width", "lr", "batch", "epoch", "loss", "accuracy"]
        if needs_logits(metric) and is_wide:
            names.append(metric_name(metric))
        for name in names:
            short = {"trial": "#", "accuracy": "acc."}.get(name, name)
            table.add_column(name if is_wide else short, justify="right", no_wrap=True)
        if is_wide:
            table.add_column("", no_wrap=True)
        for place, trial in enumerate(best):
            figures = [trial.valid_loss, trial.valid_accuracy]
            figures += [trial.best_figures[metric_column(metric)]] if len(names) > 8 else []
            cells = [
                *_configuration(trial.number, trial),
                str(trial.best_epoch),
                *(f"{value:.4f}" for value in figures),
            ]
            note = ["best" if place == 0 else ""] if is_wide else []
            table.add_row(*cells, *note, style="green" if place == 0 else None)
        for training in running:
            last = training.progress.last
            figures_shown = ["", ""] if last is None else [f"{value:.4f}" for value in last]
            epochs = training.trial.recipe.epochs
            epoch = f"{int(training.progress.epochs)}/{epochs}" if training.is_running else f"-/{epochs}"
            cells = [*_configuration(training.trial.number, training.trial), epoch, *figures_shown]
            cells += [""] * (len(names) - len(cells))
            table.add_row(
                *cells, *([_note(training)] if is_wide else []), style="cyan" if training.is_running else "dim"
            )
        return table


def _configuration(number: int, trained: TrialResult | TrialTask) -> list[str]:
    params = trained.params
    return [str(number), str(params.depth), str(params.width), f"{params.lr:.2g}", str(params.batch_size)]


def _note(training: InFlight) -> RenderableType:
    """What stands at the end of the row of a training: how far it is, and the fold of a network of the final."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    if not training.is_running:
        return "waits"
    bar = ProgressBar(total=1.0, completed=share_done(training), width=10)
    if training.fold is None:
        return bar
    note = Table.grid(padding=(0, 1))
    note.add_row(f"fold {training.fold + 1}", bar)
    return note
