"""A coordinator that is restarted on another host, with the same store on a file system that both hosts have."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support import kills
from tests.support.commands import client_of, contents, invoke, searching

SEARCH = ("--epochs", "2", "--width", "8:16", "--finalists", "0", "--study", "s")


def search_on(monkeypatch: pytest.MonkeyPatch, host: str, store: Path, trials: int) -> dict[str, Any]:
    """Run the search as on a host of this name and return what it prints."""
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    done = invoke(monkeypatch, "search", *SEARCH, "--trials", str(trials), "--store", str(store), "--json")
    assert done.exit_code == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_search_goes_on_on_another_host_as_one_search(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = search_on(monkeypatch, "one", store, 3)
    second = search_on(monkeypatch, "two", store, 6)
    assert [trial["params"] for trial in second["trials"][:3]] == [trial["params"] for trial in first["trials"]]
    assert sorted(contents(store, "s")["runs"]) == ["search s", *[f"trial-000{number}" for number in range(6)]]
    assert all(len(runs) == 1 for runs in contents(store, "s")["runs"].values())
    (run,) = client_of(store).search_runs(
        [client_of(store).get_experiment_by_name("s").experiment_id],  # type: ignore[union-attr] # it exists
        "tags.`insects.role` = 'search'",
    )
    assert run.data.tags["insects.store"] == f"one:{store}"  # where it began


def test_second_coordinator_of_a_store_is_refused_until_the_first_is_gone(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with searching(*SEARCH, "--trials", "100000", "--store", str(store)) as process:
        refused = invoke(monkeypatch, "search", *SEARCH, "--trials", "100000", "--store", str(store))
        for pid in [process.pid, *kills.children(process.pid)]:
            os.kill(pid, signal.SIGKILL)
        process.communicate()
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[-1].startswith(
        f"Error: study s is being searched by process {process.pid} on {socket.gethostname()} since "
    )
    finished = len(list((store / "trials" / "s").glob("[0-9]*.npz")))
    assert len(search_on(monkeypatch, "two", store, finished + 4)["trials"]) == finished + 4
