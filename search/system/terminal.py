"""Messages and live displays on stderr: a display on a terminal that can redraw it, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

REFRESHES_A_SECOND = 5
BAR = 20
"""Columns of a bar."""

_SHOW_CURSOR = b"\x1b[?25h\n"

_quiet = False
_console: Console | None = None  # of the live display that is on the screen


@contextmanager
def quiet(is_quiet: bool) -> Iterator[None]:
    """Suppress messages and displays, except errors, within the block.

    Args:
        is_quiet: Whether to do so.
    """
    global _quiet
    before, _quiet = _quiet, is_quiet
    try:
        yield
    finally:
        _quiet = before


def say(line: str, *, is_error: bool = False) -> None:
    """Print a line to stderr, above the live display if there is one.

    Args:
        line: The line.
        is_error: Whether it is shown with `--quiet` too.
    """
    if _quiet and not is_error:
        return
    try:
        console = _console
        if console is not None:
            console.print(line, markup=False, highlight=False)
        else:
            click.echo(wrapped(line, sys.stderr), err=True)
    except OSError:  # the reader of the pipe has left, as in `2>&1 | head`: no reason to end a search
        discard_output(sys.stderr)


def columns(stream: TextIO) -> int | None:
    """Return the width of the terminal that a stream is; None: it is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else None
    except (OSError, ValueError):  # a stream without a file, as in tests and notebooks
        return None


def wrapped(text: str, stream: TextIO) -> str:
    """Return a text with its longer lines broken between words, if it goes to a terminal.

    Indented lines stay as they are: they are tables, and commands to be copied.
    """
    width = columns(stream)
    if not width:
        return text
    return "\n".join(
        textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)
        if len(line) > width and not line.startswith(" ")
        else line
        for line in text.split("\n")
    )


def discard_output(stream: TextIO) -> None:
    """Discard what is still buffered and all later output of a stream."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def is_live() -> bool:
    """Tell whether stderr is a terminal that can redraw a display, and one is wanted."""
    return not _quiet and sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


class Lines(Protocol):
    """What a live display shows."""

    def lines(self, width: int, height: int) -> list[tuple[str, str]]:
        """Return the lines and their styles, such as `bold`; called at each redraw, in a thread.

        Args:
            width: Columns of the terminal. Longer lines are broken between words.
            height: Rows of the terminal.
        """


@contextmanager
def live_display(shown: Lines) -> Iterator[None]:
    """Keep lines at the end of the terminal within the block, redrawn by a thread, and erased after it.

    Args:
        shown: The lines.
    """
    global _console
    # Imported here: a command without a display, as in a pipe, need not wait for it.
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.live import Live
    from rich.segment import Segment
    from rich.style import Style

    class Rendered:
        # Rich's own tables take thirty times as long, and training would wait for them.
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            for line, style in shown.lines(options.max_width, console.size.height):
                for part in textwrap.wrap(line, options.max_width, drop_whitespace=False) or [""]:
                    yield Segment(part, Style.parse(style))
                    yield Segment.line()

    console = Console(stderr=True)
    live = Live(
        Rendered(),
        console=console,
        refresh_per_second=REFRESHES_A_SECOND,
        transient=True,
        redirect_stdout=False,  # it may be a file
        vertical_overflow="crop",
    )
    with live:
        _console = console
        try:
            yield
        finally:
            _console = None


def restore_cursor() -> None:
    """Show the cursor that a live display hides; it takes no lock, so a signal handler may call it."""
    if _console is not None:
        os.write(2, _SHOW_CURSOR)


def duration(seconds: float) -> str:
    """Return a time for people, rounded.

    Examples:
        >>> duration(0.2), duration(89), duration(600), duration(9000)
        ('1 s', '89 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 120 * 60 else f"{seconds / 3600:.1f} h"


def time_left(started: float, done: float, left: float) -> float | None:
    """Estimate the seconds that work takes from what is done of it; None if nothing is.

    Args:
        started: `time.monotonic()` when it began.
        done: The work done since then, in any unit.
        left: The work left, in the same unit.
    """
    return (time.monotonic() - started) * left / done if done > 0 else None


class ReadingProgress:
    """A bar for images that are being read; nothing where there is no live display."""

    def __init__(self) -> None:
        self._display: Any = None
        self._done, self._total, self._started = 0, 1, time.monotonic()

    def __enter__(self) -> ReadingProgress:
        return self

    def __exit__(self, *error: Any) -> None:
        if self._display is not None:
            self._display.__exit__(*error)

    def show(self, done: int, total: int) -> None:
        """Show that `done` of `total` images are read."""
        self._done, self._total = done, total
        if self._display is None and is_live():
            self._display = live_display(self)
            self._display.__enter__()

    def lines(self, width: int, height: int) -> list[tuple[str, str]]:
        """Return what is shown; see `Lines`."""
        left = time_left(self._started, self._done, self._total - self._done)
        status = Status(f"Reading images: {self._done} of {self._total}", self._done / self._total, left)
        return [(status.line(width), "")]


class UploadProgress:
    """What is left to upload after training: a live line on a terminal, one plain line elsewhere.

    Args:
        backlog: Returns what is left, in words.
    """

    def __init__(self, backlog: Callable[[], str]) -> None:
        self._backlog = backlog
        self._started = time.monotonic()
        self._display: Any = None

    def __enter__(self) -> UploadProgress:
        if is_live():
            self._display = live_display(self)
            self._display.__enter__()
        else:
            say("Uploading the remaining trials to MLflow and registering the best model")
        return self

    def __exit__(self, *error: Any) -> None:
        if self._display is not None:
            self._display.__exit__(*error)

    def lines(self, width: int, height: int) -> list[tuple[str, str]]:
        """Return what is shown; see `Lines`."""
        passed = time.monotonic() - self._started
        turn = "|/-\\"[int(passed * REFRESHES_A_SECOND) % 4]
        return [(f"{turn} MLflow, {passed:.0f} s so far: {self._backlog() or 'closing'}", "")]


@dataclass(frozen=True)
class Status:
    """How far something is.

    Attributes:
        text: What is being done, and how far it is.
        done: The share of it, from 0 to 1. What is done has no bar.
        seconds_left: The estimated time; None: there is no estimate yet.
    """

    text: str
    done: float
    seconds_left: float | None

    def line(self, width: int) -> str:
        """Return it as a line with a bar and the time left; the bar goes where there is no room for it.

        Args:
            width: Columns of the terminal.
        """
        left = "" if self.seconds_left is None or self.done >= 1 else f"about {duration(self.seconds_left)} left"
        if self.done >= 1 or width < len(self.text) + BAR + len(left) + 4:
            return ", ".join(filter(None, (self.text, left)))
        return f"{self.text}  {bar(self.done)}  {left}".rstrip()


def bar(done: float, width: int = BAR) -> str:
    """Return a bar.

    Args:
        done: The share that is done, from 0 to 1.
        width: Its columns.

    Examples:
        >>> bar(0.5, width=4)
        '━━──'
    """
    full = min(width - 1, int(done * width))  # what is not done yet is never full
    heavy, light = "━─" if _console is None or _console.encoding.startswith("utf") else "#-"
    return heavy * full + light * (width - full)
