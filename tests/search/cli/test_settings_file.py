"""Options from a TOML file and the environment."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from search.cli import main

SETTINGS = """
trials = 3
batch-size = [8, 16]
depth = [1, 2]
width = 32
lr = "1e-3:1e-2"
features = ["a", "b"]
pruner = "median"
test-fraction = 0.25
drop-rare-classes = true
json = true
"""

REFUSED = {
    "trails = 3": "has the unknown key 'trails': did you mean 'trials'?",
    "x = 3": "has the unknown key 'x': its keys are options without the dashes in front.",
    "check = true": "has the unknown key 'check': its keys are options without the dashes in front.",
    "[search]\ntrials = 3": "has the unknown key 'search': its keys are options without the dashes in front.",
    "trials = 0": "trials: 0 is not in the range x>=1.",
    "trials = true": "trials must be a value, not true or false.",
    "json = 1": "json must be true or false.",
    "batch-size = [[8]]": "batch-size must be text, a number, or a list of them.",
    "trials 3": "is not TOML: Expected '=' after a key in a key/value pair (at line 1, column 8).",
}


def params_of(line: str) -> dict[str, object]:
    with main.search.make_context("search", shlex.split(line)) as context:
        return context.params


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "search.toml"
    path.write_text(SETTINGS)
    return path


def test_file_gives_options_of_every_kind(settings: Path) -> None:
    params = params_of(f"--config {settings}")
    expected = {
        "trials": 3,
        "batch_size": (8, 16),
        "depth": (1, 2),
        "width": (32, 32),
        "lr": (1e-3, 1e-2),
        "features": ("a", "b"),
        "pruner": (50.0,),
        "test_fraction": 0.25,
        "drop_rare_classes": True,
        "as_json": True,
        "window": 4,
    }
    assert {name: params[name] for name in expected} == expected


def test_command_line_goes_before_the_environment_and_that_before_the_file(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSECTS_SEARCH_CONFIG", str(settings))
    assert params_of("")["trials"] == 3
    monkeypatch.setenv("INSECTS_SEARCH_TRIALS", "5")
    monkeypatch.setenv("INSECTS_SEARCH_BATCH_SIZE", "4")
    params = params_of("")
    assert (params["trials"], params["batch_size"]) == (5, (4,))
    assert params_of("--trials 7")["trials"] == 7


def test_every_option_has_a_variable_of_its_own() -> None:
    for name in ("search", "evaluate", "predict", "describe", "ui"):
        command: click.Command = getattr(main, name)
        options = [param for param in command.params if isinstance(param, click.Option) and param.name != "version"]
        expected = [f"INSECTS_{name}_{param.opts[0][2:].replace('-', '_')}".upper() for param in options]
        assert [param.envvar for param in options] == expected


def test_standing_settings_do_not_keep_sync_from_running(settings: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main.search, ["--sync", "--config", str(settings), "--store", str(tmp_path / "store")])
    assert (done.exit_code, done.stdout) == (0, '{"studies": []}\n')


@pytest.mark.parametrize("text", REFUSED)
def test_file_with_a_mistake_is_wrong_usage(text: str, tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text(text)
    done = CliRunner().invoke(main.search, ["--config", str(path)])
    assert (done.exit_code, done.stdout) == (2, "")
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"Error: {path}")
    assert line.endswith(REFUSED[text])


def test_file_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    done = CliRunner().invoke(main.search, ["--config", str(tmp_path / "none.toml")])
    assert done.exit_code == 2
    assert done.stderr.endswith("none.toml: No such file or directory; --config takes a TOML file.\n")
