"""The Click command class of all commands: expected errors are one line on stderr, bugs keep their traceback."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from insects.errors import InsectsError
from search.system.collector import collect_rarely
from search.system.terminal import discard_output

INTERRUPTED_BY_CTRL_C = 130


class Command(click.Command):
    """A command whose expected errors are a line on stderr and exit code 1.

    Each option has a variable in the environment: `INSECTS_SEARCH_BATCH_SIZE` for `--batch-size` of `insects-search`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for param in self.params:
            if isinstance(param, click.Option) and param.name not in ("version", "help"):
                name = param.opts[0].removeprefix("--").replace("-", "_")
                param.envvar = f"INSECTS_{self.name}_{name}".upper()

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command; see `click.Command`."""
        collect_rarely()
        os.environ["MPLBACKEND"] = "agg"  # a notebook's own backend may not be installed here
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")  # a terminal whose encoding lacks a character shows a "?"
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command's function; see `click.Command`."""
        try:
            return super().invoke(ctx)
        except InsectsError as error:
            click.echo(f"Error: {error}{self._hint(error.parameter)}", err=True)
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            raise SystemExit(INTERRUPTED_BY_CTRL_C) from None

    def _hint(self, parameter: str | None) -> str:
        """Return the option of a parameter that an error of the core names."""
        if parameter == "cache":  # images are cached in the store
            parameter = "store"
        options = {param.name: param.opts[0] for param in self.params}
        return f" ({options[parameter]})" if parameter in options else ""


def show(text: str) -> None:
    """Print the result of a command to stdout.

    Raises:
        InsectsError: The text cannot be printed, as on a full disk.
    """
    with _printing():
        click.echo(text)


class PrintedRows(io.RawIOBase):
    """Standard output as a file of bytes; see `show`."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, content: Any) -> int:
        """Print bytes."""
        with _printing():
            stream = sys.stdout.buffer
            stream.write(content)
            stream.flush()
        return len(content)


@contextmanager
def _printing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # Click ends quietly
    except OSError as error:
        discard_output(sys.stdout)  # else Python would try to print the rest at its exit, and fail again
        raise InsectsError(
            f"cannot print: {error.strerror}; all results are kept: make room, or print to another place"
        ) from error
