"""What a person sees while a search runs, on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any, TextIO

import click


def say(line: str) -> None:
    """A line of its own, above a bar if there is one."""
    try:
        if "tqdm" in sys.modules:
            from tqdm import tqdm

            tqdm.write(line, file=sys.stderr)
        else:
            click.echo(line, err=True)
    except OSError:  # whoever read along is gone, as in `2>&1 | head`: no reason to end a search
        lead_nowhere(sys.stderr)


def lead_nowhere(stream: TextIO) -> None:
    """Let what is printed to a stream from now on, or has not left it yet, be lost."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


class ReadingProgress:
    """Images read so far: a bar on a terminal, nothing elsewhere."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> ReadingProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, done: int, total: int) -> None:
        """`done` of `total` images are read."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit="image", file=sys.stderr, dynamic_ncols=True, leave=False)
        self._bar.update(done - self._bar.n)


class Progress:
    """Trials done, best so far and time left: a bar on a terminal, a line a trial elsewhere.

    done: numbers of the trials that an earlier run finished, as far as can be told without reading them.
    """

    def __init__(self, total: int, done: Iterable[int]) -> None:
        self._total, self._done, self._trained = total, set(done), 0
        self._best: tuple[float, int] | None = None
        self._started = time.monotonic()
        self._bar: Any = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(
                total=total, initial=len(self._done), unit="trial", file=sys.stderr, dynamic_ncols=True, leave=False
            )

    def say(self, line: str) -> None:
        """A line of its own."""
        say(line)

    def known(self, number: int, valid_loss: float) -> None:
        """A trial of an earlier run, for the best so far."""
        self._best = min(self._best or (valid_loss, number), (valid_loss, number))

    def finished(self, number: int, state: str, valid_loss: float, valid_accuracy: float) -> None:
        """A trial has ended."""
        self._trained += 1
        self._done.add(number)  # it may be there already: what an earlier run left of it was damaged
        if state == "complete":
            self.known(number, valid_loss)
        best = f"best loss {self._best[0]:.4f} (trial {self._best[1]})" if self._best else "no best yet"
        if self._bar is not None:
            self._bar.set_postfix_str(best, refresh=False)
            self._bar.update(len(self._done) - self._bar.n)
            return
        left = (time.monotonic() - self._started) / self._trained * (self._total - len(self._done))
        figures = f"validation loss {valid_loss:.4f}, accuracy {valid_accuracy:.4f}"
        self.say(
            f"trial {number} {state}: {figures if state != 'failed' else 'no figures'}; "
            f"{len(self._done)} of {self._total} done, {best}, {left:.0f} s of training left"
        )

    def close(self) -> None:
        """Leave the terminal clean."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Waiting:
    """What is left to do when training is over: a bar on a terminal, one line elsewhere."""

    def __init__(self, left: int) -> None:
        self._total = left
        self._bar: Any = None

    def __enter__(self) -> Waiting:
        if sys.stderr.isatty():
            from tqdm import tqdm

            layout = "{desc} |{bar}| {n_fmt}/{total_fmt} [{elapsed}]"
            self._bar = tqdm(total=self._total, file=sys.stderr, bar_format=layout, dynamic_ncols=True, leave=False)
        else:
            say("Bringing what is left to MLflow, and registering the best model")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, left: int) -> None:
        """So many steps are left, and after them the model."""
        if self._bar is None:
            return
        self._bar.set_description_str(
            "Bringing trials to MLflow" if left else "Registering the best model", refresh=False
        )
        self._bar.n = self._total - left
        self._bar.refresh()
