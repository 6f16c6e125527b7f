"""Two searches of the same study, from two stores, against one server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support import kills
from tests.support.environments import clean_environment
from tests.support.servers import Server

TRIALS = [str(number) for number in range(12)]


@pytest.fixture
def server(tmp_path: Path, empty_database: Path) -> Iterator[Server]:
    with Server(tmp_path / "server", empty_database) as server:
        yield server


def started(store: Path, server: Server) -> subprocess.Popen[str]:
    return subprocess.Popen(
        kills.command(store, "--tracking-uri", server.uri),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )


def trials_by_store(client: MlflowClient) -> dict[str, list[str]]:
    """The numbers of the trials below each search's run, by the store that the run names."""
    experiment = client.get_experiment_by_name(kills.STUDY)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    stores = {r.info.run_id: r.data.tags["insects.store"] for r in runs if r.data.tags["insects.role"] == "search"}
    found: dict[str, list[str]] = {store: [] for store in stores.values()}
    for run in runs:
        if run.data.tags["insects.role"] == "trial":
            found[stores[run.data.tags["mlflow.parentRunId"]]].append(run.data.tags["insects.trial"])
    return {store: sorted(trials, key=int) for store, trials in found.items()}


def assert_both_complete(stores: tuple[Path, Path], server: Server, expected: dict[str, Any]) -> None:
    """Check that the server holds both searches, each equal to one that was alone."""
    found = kills.contents(stores[0], server.uri)
    assert found["mlflow"] == [run for run in expected["mlflow"] for _ in stores]
    assert [kills.contents(store, server.uri)["optuna"] for store in stores] == [expected["optuna"]] * 2
    client = MlflowClient(server.uri, registry_uri=server.uri)
    assert trials_by_store(client) == {f"{socket.gethostname()}:{store}": TRIALS for store in stores}
    aliases, versions, tags = found["registry"]
    assert sorted(versions) == ["1", "2"]
    assert aliases in ([{"best": "1"}], [{"best": "2"}])
    assert tags == expected["registry"][2] * 2
    models = client.search_model_versions("name = 'insects-mlp'")
    assert len({model.source for model in models}) == len({model.run_id for model in models}) == 2


def test_searches_at_the_same_time_are_both_complete(
    undisturbed: tuple[dict[str, Any], dict[str, Any]],
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stores = tmp_path / "one", tmp_path / "two"
    for search in [started(store, server) for store in stores]:
        _, errors = search.communicate(timeout=kills.END_SECONDS)
        assert search.returncode == 0, errors
    assert_both_complete(stores, server, undisturbed[1])
    for store in stores:
        kills.sync(monkeypatch, store, server.uri)
    assert_both_complete(stores, server, undisturbed[1])


def test_killed_search_does_not_disturb_the_other_and_is_completed_later(
    undisturbed: tuple[dict[str, Any], dict[str, Any]],
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed, other = tmp_path / "killed", tmp_path / "other"
    search = started(killed, server)
    _wait_for_a_run(server.uri, search)
    for pid in [search.pid, *kills.children(search.pid)]:
        os.kill(pid, signal.SIGKILL)
    search.communicate()
    answer = kills.complete(monkeypatch, other, "--tracking-uri", server.uri)
    assert (answer["upload_error"], answer["model"]["version"]) == (None, "1")
    unfinished = [run for run in kills.contents(other, server.uri)["mlflow"] if run["status"] == "RUNNING"]
    assert "search survivor" in {run["name"] for run in unfinished}  # the killed search's, until it is run again
    kills.complete(monkeypatch, killed, "--tracking-uri", server.uri)
    assert_both_complete((killed, other), server, undisturbed[1])


def _wait_for_a_run(uri: str, search: subprocess.Popen[str]) -> None:
    client = MlflowClient(uri)
    while search.poll() is None:
        experiment = client.get_experiment_by_name(kills.STUDY)
        wanted = "attributes.status = 'RUNNING' and tags.`insects.role` = 'trial'"
        if experiment and client.search_runs([experiment.experiment_id], wanted):
            return
        time.sleep(0.02)
    raise AssertionError("the search ended before it was killed")
