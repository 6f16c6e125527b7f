"""Mistakes on the command line and in the input: one line, the right exit code, nothing left behind."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from search.cli import main
from tests.support.commands import SMALL, command, invoke

BAD_USAGE = [
    "--trials 0",
    "--trials many",
    "--epochs 0",
    "--epochs 1000001",
    "--schedule linear",
    "--depth 0",
    "--depth 3:1",
    "--depth 1.5",
    "--depth 1:",
    "--depth 1:1001",
    "--width -1:4",
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
    "stray",
]


@pytest.mark.parametrize("line", BAD_USAGE)
def test_wrong_usage_exits_2_with_the_usage(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoke(monkeypatch, "search", *shlex.split(line))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage: search" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["search", "evaluate", "describe", "ui"])
def test_empty_text_is_refused_by_the_name_of_its_option(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = getattr(main, name)
    options = [option.opts[0] for option in command.params if not option.is_flag]
    assert {"--store", "--tracking-uri"} < set(options)
    for option in options:
        done = CliRunner().invoke(command, [option, ""])
        assert done.exit_code == 2, option
        assert done.stderr.splitlines()[-1].startswith(f"Error: Invalid value for '{option}': ")
    assert list(tmp_path.iterdir()) == []


def test_size_that_no_memory_holds_is_refused_by_the_name_of_its_option() -> None:
    for option, most in (("--depth", "1000"), ("--width", "1000000"), ("--epochs", "1000000")):
        done = CliRunner().invoke(main.search, [option, "1" + 30 * "0"])
        assert done.exit_code == 2
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"Error: Invalid value for '{option}': ")
        assert f"<={most}" in last.replace(" ", "").rstrip(".")


BAD_INPUT = {
    "file missing": ("--train none.csv", "none.csv"),
    "file is a folder": ("--train .", "."),
    "no label column": ("--train t.csv --target species", "t.csv has no label column 'species'"),
    "no such feature": ("--train t.csv --features a,c", "t.csv has no input column 'c'"),
    "feature is text": ("--train text.csv", "column 'a'"),
    "one class": ("--train one.csv", "a search needs at least two classes, found only 'x'"),
    "too few rows": ("--train few.csv", "class 'y' has 1"),
    "test file missing": ("--train t.csv --test none.csv", "none.csv"),
    "test file of other columns": ("--train t.csv --test one_column.csv", "has no input column 'b'"),
    "configs missing": ("--configs none.json", "cannot read none.json: No such file or directory"),
    "configs no list": ("--configs bad.json", "bad.json must hold a list"),
    "device cuda": ("--device cuda", "--device cuda is not available here (found: cpu): choose one of these, or auto"),
    "compiled on mps": ("--device mps --engine compiled", "the compiled engine trains on the cpu only"),
    "store with an escape in its path": ("--store a%20b", "the path of a store must hold neither % nor ?, found "),
    "store in a file": ("--store t.csv/in", "t.csv/in"),
}


@pytest.mark.parametrize("kind", BAD_INPUT)
def test_bad_input_is_one_line_and_exit_1(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"{label},{value},{value * 2}" for label in "xy" for value in range(20)]
    Path("t.csv").write_text("\n".join(["labels,a,b", *rows]))
    Path("text.csv").write_text("\n".join(["labels,a,b", *rows[:30], "y,many,3"]))
    Path("one.csv").write_text("\n".join(["labels,a,b", *rows[:20]]))
    Path("few.csv").write_text("\n".join(["labels,a,b", *rows[:21]]))
    Path("one_column.csv").write_text("labels,a\nx,1\n")
    Path("bad.json").write_text('{"depth": 1}')
    line, message = BAD_INPUT[kind]
    monkeypatch.setattr("tests.support.commands.InlineBackground.call", lambda *_, **__: None)
    done = invoke(monkeypatch, "search", *SMALL, *line.split())
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_bad_input_of_the_installed_command_is_one_line_and_exit_1(tmp_path: Path) -> None:
    done = command("insects-search", "--train", "none.csv", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


def test_read_only_store_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tests.support.commands.InlineBackground.call", lambda *_, **__: None)
    monkeypatch.setattr("search.system.files.Path.mkdir", refused)
    done = invoke(monkeypatch, "search", *SMALL, "--store", str(tmp_path / "store"))
    monkeypatch.undo()
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: cannot create {tmp_path / 'store' / 'trials'}")
    assert done.stderr.endswith("Permission denied; choose another --store\n")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--features", "feature1"), "--features is about your own table: add --train."),
        (("--target", "species"), "--target is about your own table: add --train."),
        (("--test-fraction", "0.2"), "--test-fraction is about your own table: add --train."),
        (("--train", "a.csv", "--test", "b.csv", "--test-fraction", "0.2"), "leave one out"),
    ],
)
def test_option_that_would_be_ignored_is_a_usage_error(options: tuple[str, ...], complaint: str) -> None:
    result = CliRunner().invoke(main.search, list(options))
    assert result.exit_code == 2
    assert complaint in result.stderr
