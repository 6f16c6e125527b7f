"""The progress of a search in a notebook: a live table in place of the lines on stderr."""

from __future__ import annotations

import html
import importlib
import io
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

from insects.objective import metric_column, metric_name
from insects.params import Metric
from insects.text import metric_text
from insects.trial import TrialResult
from search.study.loop import TrialListener

SHOWN_TRIALS = 10
SECONDS_BETWEEN = 0.2
_COLUMNS = ("trial", "depth", "width", "lr", "batch", "epochs", "loss", "accuracy")
_CELL = "text-align: right; padding: 1px 10px"


@contextmanager
def notebook_progress(trials: int, metric: Metric) -> Iterator[Sequence[TrialListener]]:
    """Show the trials of a search in the output of a notebook's cell; elsewhere nothing.

    Args:
        trials: Trials that the study will have.
        metric: What the best trial is best in.

    Yields:
        What the search has to tell of trials.
    """
    if not _is_notebook():
        yield ()
        return
    table = TrialTable(trials, metric)
    try:
        with redirect_stderr(table.lines):
            yield (table,)
    finally:
        table.end()


class TrialTable:
    """A table of the best trials in the output of a cell; see `search.study.loop.TrialListener`.

    Args:
        trials: Trials that the study will have.
        metric: What the best trial is best in.

    Attributes:
        lines: A text file. What is written there is shown under the table, the last line only.
    """

    def __init__(self, trials: int, metric: Metric) -> None:
        ipython: Any = importlib.import_module("IPython.display")  # it has no types, and is no requirement
        self._trials, self._metric, self._html = trials, metric, ipython.HTML
        self._results: list[TrialResult] = []
        self._line, self._is_over = "Starting", False
        self._started = self._shown = time.monotonic()
        self.lines = _Lines(self._write)
        self._display = ipython.display(ipython.HTML(self.as_html()), display_id=True)

    def trained(self, result: TrialResult) -> None:
        """Show a trial that was trained."""
        self._results.append(result)
        self._show()

    def known(self, result: TrialResult) -> None:
        """Show a trial of an earlier search."""
        self.trained(result)

    def end(self) -> None:
        """Show the table as it stays."""
        self._is_over = True
        self._shown = 0.0
        self._show()

    def as_html(self) -> str:
        """Return the table."""
        column = metric_column(self._metric)
        ended = [result for result in self._results if result.state == "complete" and result.best_epoch]
        ranked = sorted(ended, key=lambda result: result.rank)
        head = f"<b>{len(self._results)} of {self._trials} trials</b>, {time.monotonic() - self._started:.0f} s"
        if ranked:
            value = ranked[0].best_figures[column]
            head += f"; best validation {metric_name(self._metric)} {metric_text(value)} (trial {ranked[0].number})"
        names = [*_COLUMNS, *([metric_name(self._metric)] if column not in ("valid_loss", "valid_accuracy") else [])]
        rows = [_row(names, "th")] if ranked else []
        rows += [
            _row(_cells(result, column if len(names) > len(_COLUMNS) else None)) for result in ranked[:SHOWN_TRIALS]
        ]
        last = "" if self._is_over else f"<div style='opacity: 0.7'>{html.escape(self._line)}</div>"
        return f"<div>{head}</div><table>{''.join(rows)}</table>{last}"

    def _write(self, line: str) -> None:
        self._line = line
        self._show()

    def _show(self) -> None:
        if time.monotonic() - self._shown < SECONDS_BETWEEN:
            return
        self._display.update(self._html(self.as_html()))
        self._shown = time.monotonic()


class _Lines(io.TextIOBase):
    """A text file that hands on each line."""

    def __init__(self, write: Any) -> None:
        self._write, self._rest = write, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._write(line.strip())
        return len(text)


def _cells(result: TrialResult, score: str | None) -> list[str]:
    params = result.params
    cells = [result.number, params.depth, params.width, f"{params.lr:.2g}", params.batch_size, result.epochs]
    cells += [metric_text(result.valid_loss), metric_text(result.valid_accuracy)]
    cells += [] if score is None else [metric_text(result.best_figures[score])]
    return [str(cell) for cell in cells]


def _row(cells: Sequence[str], tag: str = "td") -> str:
    return f"<tr>{''.join(f'<{tag} style={_CELL!r}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _is_notebook() -> bool:
    """Tell whether the output of this process is that of a notebook's cell."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None
