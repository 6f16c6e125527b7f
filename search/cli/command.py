"""What every command has around it: its streams, and how an expected error is told."""

from __future__ import annotations

import io
import os
import sys
import traceback
from typing import Any

import click

from insects.errors import InsectsError
from search.system.terminal import lead_nowhere, say

INTERRUPTED_BY_CTRL_C = 130


class Command(click.Command):
    """A command whose expected errors are a line on stderr and exit code 1; a bug keeps its traceback."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """See `click.Command`."""
        _open_closed_streams()
        os.environ["MPLBACKEND"] = "agg"  # no figure is shown; a notebook's own would have to be installed here
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # what the terminal's encoding lacks is a question mark
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if not _is_of_printing(error):
                raise
            lead_nowhere(sys.stdout)  # or leaving Python would try to print the rest, and fail again
            say(f"Error: cannot print: {error.strerror}; what was done is kept: make room, or print to another place")
            raise SystemExit(1) from None

    def invoke(self, ctx: click.Context) -> Any:
        """See `click.Command`."""
        try:
            return super().invoke(ctx)
        except InsectsError as error:
            click.echo(f"Error: {error}", err=True)
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED_BY_CTRL_C) from None


def _is_of_printing(error: OSError) -> bool:
    """Whether it was raised where a command prints, as on a full disk, and not at some other file."""
    return any(frame.f_code is click.echo.__code__ for frame, _ in traceback.walk_tb(error.__traceback__))


def _open_closed_streams() -> None:
    """Let what was closed (`2>&-`) lead nowhere. Its number would go to the next file that is opened, a database say,
    and what is printed into that file."""
    for number, (name, mode) in enumerate({"stdin": "r", "stdout": "w", "stderr": "w"}.items()):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(nowhere, True)  # it is the lowest number that is free, so the stream's own
            setattr(sys, name, os.fdopen(number, mode, closefd=False))
