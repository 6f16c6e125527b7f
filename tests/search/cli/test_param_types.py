"""Values that an option cannot take: wrong usage, by the name of the option, and nothing is left behind."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from search.cli import main

BAD_USAGE = [
    "--trials 0",
    "--trials many",
    "--epochs 0",
    "--epochs 1000001",
    "--schedule linear",
    "--class-weight rare",
    "--metric f1",
    "--depth -1:4",
    "--depth 3:1",
    "--depth 1.5",
    "--depth 1:",
    "--depth 1:1001",
    "--width -1:4",
    "--width 0",
    "--width 0:4",
    "--width 1000001",
    "--lr 0:1",
    "--lr nan",
    "--lr 1:inf",
    "--lr 1:2:3",
    "--batch-size 4,4",
    "--batch-size 0",
    "--batch-size ,",
    "--features a,a",
    "--features a,,b",
    "--categorical a,a",
    "--numeric ,",
    "--drop a,,b",
    "--separator ;;",
    "--separator '\"'",
    "--separator ''",
    "--decimal ;",
    "--encoding klingon",
    "--encoding hex",
    "--encoding undefined",
    "--scaling minmax",
    "--group ''",
    "--sampler grid",
    "--pruner percentile:0",
    "--pruner percentile:nan",
    "--pruner median:3",
    "--window 0",
    "--seed -1",
    "--study ../up",
    "--study .hidden",
    "--study ''",
    "--study lock/x",
    "--model-name a/b",
    "--device tpu",
    "--engine jax",
    "--workers 0",
    "--timeout 0",
    "--timeout nan",
    "--timeout inf",
    "--test-fraction 1",
    "--test-fraction nan",
    "--split-seed x",
    "--nothing",
    "table.csv target stray",
]


@pytest.mark.parametrize("line", BAD_USAGE)
def test_wrong_usage_exits_2_with_the_usage(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main.search, shlex.split(line))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage: search" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["search", "evaluate", "predict", "describe", "ui"])
def test_empty_text_is_refused_by_the_name_of_its_option(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command: click.Command = getattr(main, name)
    options = [option.opts[0] for option in command.params if isinstance(option, click.Option) and not option.is_flag]
    assert {"--store", "--tracking-uri"} < set(options)
    for option in options:
        done = CliRunner().invoke(command, [option, ""])
        assert done.exit_code == 2, option
        assert done.stderr.splitlines()[-1].startswith(f"Error: Invalid value for '{option}': ")
    assert list(tmp_path.iterdir()) == []


def test_size_beyond_any_memory_is_refused_by_the_name_of_its_option() -> None:
    for option, most in (("--depth", "1000"), ("--width", "1000000"), ("--epochs", "1000000")):
        done = CliRunner().invoke(main.search, [option, "1" + 30 * "0"])
        assert done.exit_code == 2
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"Error: Invalid value for '{option}': ")
        assert f"<={most}" in last.replace(" ", "").rstrip(".")
