"""Searches whose output cannot be printed, whose workers are killed, or whose MLflow does not answer."""

from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path

import click
import pytest

from tests.support.commands import SMALL, client_of, command, contents, invoke, searching
from tests.support.studies import UNTRAINABLE, as_dict

SHORT = (*SMALL, "--trials", "2", "--study", "s")
ASCII_ONLY = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_search_that_stops_without_mlflow_says_that_uploads_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.tracking.client._ATTEMPTS", 1)
    configs = tmp_path / "configs.json"
    configs.write_text(json.dumps([as_dict(UNTRAINABLE)] * 10))
    away = ("--tracking-uri", "http://127.0.0.1:9")
    arguments = (*SMALL, "--trials", "10", "--configs", str(configs), "--store", str(tmp_path / "store"), *away)
    done = invoke(monkeypatch, "search", *arguments)
    assert done.exit_code == 1
    (warning,) = [line for line in done.stderr.splitlines() if "for now" in line]
    assert warning.startswith(
        "Trials cannot be uploaded to MLflow for now, the search goes on: "
        "MLflow at http://127.0.0.1:9 does not answer as it should: "
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: 10 trials in a row failed, the last (trial 9) with: ")
    assert ". Not all is in MLflow yet: MLflow at http://127.0.0.1:9 does not answer" in last


def test_full_disk_under_stdout_is_one_line_and_loses_no_result(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    echo = click.echo

    def full(text: str, err: bool = False) -> None:
        if not err:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        echo(text, err=True)

    monkeypatch.setattr(click, "echo", full)
    monkeypatch.setattr("search.cli.command.discard_output", lambda _: None)  # stdout is no file here
    done = invoke(monkeypatch, "search", *SHORT, "--json", "--store", str(store))
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == (
        "Error: cannot print: No space left on device; all results are kept: make room, or print to another place"
    )
    assert contents(store, "s")["runs"]["search s"][0]["status"] == "FINISHED"


@pytest.mark.parametrize("module", ["search.upload.runs_worker", "search.upload.model_worker"])
def test_killed_worker_does_not_end_the_search(module: str, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [*SMALL, "--trials", "10", "--study", "s", "--store", str(store), "--json"]
    with searching(*arguments, MPLBACKEND="module://a_notebooks_own") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        (worker,) = [pid for pid in children if module in Path(f"/proc/{pid}/cmdline").read_text()]
        os.kill(int(worker), signal.SIGKILL)
        stdout, _ = process.communicate()
    assert process.returncode == 0
    assert json.loads(stdout)["upload_error"] == "a process that uploads results was ended by SIGKILL"
    assert invoke(monkeypatch, "search", "--sync", "--store", str(store)).exit_code == 0
    assert len(contents(store, "s")["runs"]) == 13  # the search, ten trials and two finalists


def test_password_in_a_tracking_uri_is_not_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.tracking.client._ATTEMPTS", 1)
    away = ("--tracking-uri", "http://bob:S3cret@127.0.0.1:9")
    done = invoke(monkeypatch, "search", *SMALL, "--trials", "1", "--store", str(tmp_path), *away)
    assert done.exit_code == 0
    assert "MLflow at http://bob:…@127.0.0.1:9 does not answer" in done.stdout
    assert "S3cret" not in done.output


def test_table_of_any_name_is_described_and_logged_in_any_locale(store: Path, tmp_path: Path) -> None:
    (tmp_path / "é.csv").write_text("labels,ä\na,1\nb,2\n", encoding="utf-8")
    where = ("--out", "out", "--log", "--store", str(store))
    done = command("insects-describe", "--train", "é.csv", *where, cwd=tmp_path, **ASCII_ONLY)
    assert done.returncode == 0, done.stderr
    assert "2 rows, 1 feature, 2 classes\n" in done.stdout
    description = json.loads((tmp_path / "out" / "description.json").read_text(encoding="utf-8"))
    assert list(description["columns"]) == ["ä"]
    client = client_of(store)
    experiment = client.get_experiment_by_name("insects-describe")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
