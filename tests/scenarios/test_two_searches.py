"""Two whole searches of the same study at once, against a real server."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from mlflow import MlflowClient

from tests.support import kills
from tests.support.servers import Server


def test_server_holds_the_study_once_when_both_search_at_the_same_time(tmp_path: Path) -> None:
    with Server(tmp_path / "alone") as server:
        kills.run_to_the_end(tmp_path / "reference", "--tracking-uri", server.uri)
        expected = kills.contents(tmp_path / "reference", server.uri)
    with Server(tmp_path / "server") as server:
        searches = [
            subprocess.Popen(
                kills.command(tmp_path / name, "--tracking-uri", server.uri),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=kills.clean_environment(),
            )
            for name in ("one", "two")
        ]
        for search in searches:
            _, errors = search.communicate(timeout=300)
            assert search.returncode == 0, errors
        assert kills.contents(tmp_path / "one", server.uri) == expected
        assert kills.contents(tmp_path / "two", server.uri) == expected


def test_one_of_two_searches_that_is_killed_leaves_nothing_unfinished(tmp_path: Path) -> None:
    with Server(tmp_path / "server") as server:
        killed = subprocess.Popen(
            kills.command(tmp_path / "killed", "--tracking-uri", server.uri),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=kills.clean_environment(),
        )
        _wait_for_a_run(server.uri, killed)
        for pid in [killed.pid, *kills.children(killed.pid)]:
            os.kill(pid, signal.SIGKILL)
        killed.communicate()
        answer = kills.run_to_the_end(tmp_path / "whole", "--tracking-uri", server.uri)
        assert answer["upload_error"] is None
        statuses = [run["status"] for run in kills.contents(tmp_path / "whole", server.uri)["mlflow"]]
        assert len(statuses) == 13
        assert "RUNNING" not in statuses


def _wait_for_a_run(uri: str, search: subprocess.Popen[bytes]) -> None:
    client = MlflowClient(uri)
    while search.poll() is None:
        experiment = client.get_experiment_by_name(kills.STUDY)
        if experiment and client.search_runs([experiment.experiment_id], "attributes.status = 'RUNNING'"):
            return
        time.sleep(0.02)
    raise AssertionError("the search ended before it was killed")
