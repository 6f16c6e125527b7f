"""The command class: errors as one line, exit codes, output that cannot be printed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from insects.errors import DataError
from search.cli.command import Command
from tests.support.commands import BIN


def command_that(raises: Callable[[], BaseException]) -> click.Command:
    @click.command(cls=Command)
    @click.option("--target")
    @click.option("--image-dir")
    @click.option("--store")
    def command(**_: str | None) -> None:
        raise raises()

    return command


@pytest.mark.parametrize(
    ("parameter", "hint"),
    [
        ("target", " (--target)"),
        ("image_dir", " (--image-dir)"),
        ("cache", " (--store)"),  # the cache of images is in the store
        ("features", ""),  # not an option of this command
        (None, ""),
    ],
)
def test_error_is_one_line_that_ends_with_the_option_of_its_parameter(parameter: str | None, hint: str) -> None:
    command = command_that(lambda: DataError("t.csv has no such column", parameter=parameter))
    done = CliRunner().invoke(command, [])
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Error: t.csv has no such column{hint}\n")


def test_error_of_the_core_names_the_option(tmp_path: Path) -> None:
    from search.cli import main

    table = tmp_path / "t.csv"
    table.write_text("labels,a\nx,1\ny,2\n")
    done = CliRunner().invoke(main.describe, ["--train", str(table), "--target", "kind"])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {table} has no label column 'kind'")
    assert done.stderr.endswith(" (--target)\n")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_exits_with_130_and_prints_nothing() -> None:
    done = CliRunner().invoke(command_that(KeyboardInterrupt), [])
    assert (done.exit_code, done.output) == (130, "")


def test_bug_keeps_its_traceback() -> None:
    done = CliRunner().invoke(command_that(lambda: ZeroDivisionError("a bug")), [])
    assert isinstance(done.exception, ZeroDivisionError)


CANNOT_PRINT = (
    "Error: cannot print: No space left on device; all results are kept: make room, or print to another place\n"
)


@pytest.mark.parametrize(
    ("line", "stderr"),
    [("{} > /dev/full", CANNOT_PRINT), ("{} | true; exit ${{PIPESTATUS[0]}}", "")],
    ids=["full disk", "broken pipe"],
)
def test_output_that_cannot_be_printed_is_one_line_or_none(line: str, stderr: str, tmp_path: Path) -> None:
    script = line.format(BIN / "insects-describe")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", stderr)
