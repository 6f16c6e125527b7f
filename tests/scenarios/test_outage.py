"""An MLflow server that is stopped, or whose answers are lost: the search ends well, nothing is lost or doubled."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import kills
from tests.support.servers import LosingProxy, Server

Undisturbed = tuple[dict[str, Any], dict[str, Any]]

# The requests that change MLflow.
LOST = (
    b"experiments/create",
    b"runs/create",
    b"runs/log-inputs",
    b"runs/log-batch",
    b"runs/set-tag",
    b"runs/update",
    b"mlflow-artifacts/artifacts",
    b"logged-models ",
    b"registered-models/create",
    b"registered-models/alias",
    b"model-versions/create",
    b"model-versions/set-tag",
)


@pytest.fixture
def server(tmp_path: Path, empty_database: Path) -> Iterator[Server]:
    """A server that is not started."""
    server = Server(tmp_path / "server", empty_database)
    yield server
    server.stop()


def test_search_without_its_server_ends_well_and_sync_uploads_all(
    undisturbed: Undisturbed, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = kills.complete(monkeypatch, tmp_path / "store", "--tracking-uri", server.uri)
    assert len(answer["trials"]) == 12
    assert answer["model"] is None
    assert "does not answer" in answer["upload_error"]
    server.start()
    kills.sync(monkeypatch, tmp_path / "store", server.uri)
    assert kills.contents(tmp_path / "store", server.uri) == undisturbed[1]
    kills.sync(monkeypatch, tmp_path / "store", server.uri)
    assert kills.contents(tmp_path / "store", server.uri) == undisturbed[1]


def test_server_that_stops_during_the_search_loses_and_doubles_nothing(
    undisturbed: Undisturbed, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    search = subprocess.Popen(
        kills.command(tmp_path / "store", "--tracking-uri", server.uri), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _wait_for_runs(server, 3, search)
    server.stop()
    _, errors = search.communicate(timeout=300)
    assert search.returncode == 0, errors
    server.start()
    kills.sync(monkeypatch, tmp_path / "store", server.uri)
    assert kills.contents(tmp_path / "store", server.uri) == undisturbed[1]


def test_lost_answers_make_nothing_twice(
    undisturbed: Undisturbed, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    proxy = LosingProxy(server, LOST)
    monkeypatch.setattr("search.tracking.client._ATTEMPTS", len(LOST) + 1)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the attempts
    try:
        answer = kills.complete(monkeypatch, tmp_path / "store", "--tracking-uri", proxy.uri)
    finally:
        proxy.close()
    assert (answer["upload_error"], answer["model"]["version"]) == (None, "1")
    assert set(proxy.lost) == set(LOST)
    assert kills.contents(tmp_path / "store", server.uri) == undisturbed[1]


def _wait_for_runs(server: Server, count: int, search: subprocess.Popen[bytes]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    until = time.monotonic() + 120
    while time.monotonic() < until and search.poll() is None:
        experiment = client.get_experiment_by_name(kills.STUDY)
        if experiment and len(client.search_runs([experiment.experiment_id])) >= count:
            return
        time.sleep(0.05)
    raise AssertionError("the search did not get that far")
