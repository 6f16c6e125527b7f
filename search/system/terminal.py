"""Progress and messages on stderr: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

import click


def say(line: str) -> None:
    """Print a line to stderr, above the progress bar if there is one."""
    try:
        if "tqdm" in sys.modules:
            from tqdm import tqdm

            tqdm.write(line, file=sys.stderr)
        else:
            click.echo(line, err=True)
    except OSError:  # the reader of the pipe has left, as in `2>&1 | head`: no reason to end a search
        discard_output(sys.stderr)


def discard_output(stream: TextIO) -> None:
    """Discard what is still buffered and all later output of a stream."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


class ReadingProgress:
    """A bar for images that are being read; nothing where stderr is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> ReadingProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, done: int, total: int) -> None:
        """Show that `done` of `total` images are read."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit="image", file=sys.stderr, dynamic_ncols=True, leave=False)
        self._bar.update(done - self._bar.n)


class TrialProgress:
    """Trials done, the best loss so far and the time left: a bar on a terminal, a line a trial elsewhere.

    Args:
        total: Trials that the study will have.
        done: Numbers of the trials that an earlier run has finished.
        metric: The name of what the best trial is best in.
    """

    def __init__(self, total: int, done: Iterable[int], metric: str = "loss") -> None:
        self._total, self._done, self._metric, self._trained = total, set(done), metric, 0
        self._best: tuple[tuple[float, int, int], float] | None = None
        self._started = time.monotonic()
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, initial=len(self._done), unit="trial", file=sys.stderr, dynamic_ncols=True, leave=False
            )

    def known(self, rank: tuple[float, int, int], value: float) -> None:
        """Take account of a completed trial of an earlier run.

        Args:
            rank: What trials are sorted by, the trial's number last.
            value: Its metric.
        """
        self._best = min(self._best or (rank, value), (rank, value))

    def finished(self, state: str, figures: str, rank: tuple[float, int, int], value: float) -> None:
        """Show a trial that has just ended.

        Args:
            state: How it ended.
            figures: Its metrics in words.
            rank: See `known`.
            value: Its metric.
        """
        number = rank[-1]
        self._trained += 1
        self._done.add(number)  # it is there already if the result of an earlier run was damaged
        if state == "complete":
            self.known(rank, value)
        best = "no best yet"
        if self._best:
            (*_, best_number), best_value = self._best
            best = f"best {self._metric} {best_value:.4f} (trial {best_number})"
        if self._bar is not None:
            self._bar.set_postfix_str(best, refresh=False)
            self._bar.update(len(self._done) - self._bar.n)
            return
        left = (time.monotonic() - self._started) / self._trained * (self._total - len(self._done))
        say(
            f"trial {number} {state}: {figures if state != 'failed' else 'no figures'}; "
            f"{len(self._done)} of {self._total} done, {best}, {left:.0f} s of training left"
        )

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class FinalProgress:
    """Networks of the final that are left to train: a bar on a terminal, one line elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._is_begun = False

    def __enter__(self) -> FinalProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, left: int) -> None:
        """Show that a network was trained, and `left` are to be trained."""
        if not self._is_begun:
            self._is_begun = True
            if sys.stderr.isatty():
                from tqdm import tqdm

                self._bar = tqdm(
                    total=left + 1, desc="Final", unit="network", file=sys.stderr, dynamic_ncols=True, leave=False
                )
            else:
                say("Training the best trials again on folds")
        if self._bar is not None:
            self._bar.update()


class UploadProgress:
    """Uploads that are left after training: a bar on a terminal, one line elsewhere.

    Args:
        left: Uploads that are left now.
    """

    def __init__(self, left: int) -> None:
        self._total = left
        self._bar: Any = None

    def __enter__(self) -> UploadProgress:
        if sys.stderr.isatty():
            from tqdm import tqdm

            layout = "{desc} |{bar}| {n_fmt}/{total_fmt} [{elapsed}]"
            self._bar = tqdm(total=self._total, file=sys.stderr, bar_format=layout, dynamic_ncols=True, leave=False)
        else:
            say("Uploading the remaining trials to MLflow and registering the best model")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, left: int) -> None:
        """Show how many uploads are left; the model follows them."""
        if self._bar is None:
            return
        what = "Uploading trials to MLflow" if left else "Registering the best model"
        self._bar.set_description_str(what, refresh=False)
        self._bar.n = self._total - left
        self._bar.refresh()
