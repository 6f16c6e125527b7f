"""`insects-ui --dashboard`: Optuna's dashboard on the journal of a store."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.support.commands import BIN, Finished, command
from tests.support.servers import HOST, unavailable

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture
def dashboard_package() -> None:
    if importlib.util.find_spec("optuna_dashboard") is None:
        unavailable("optuna-dashboard is not installed")


@pytest.mark.usefixtures("dashboard_package")
def test_dashboard_serves_the_trials_of_the_study(finished: Finished) -> None:
    with subprocess.Popen(
        [BIN / "insects-ui", "--dashboard", "--store", str(finished.store)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as shown:
        assert shown.stdout is not None
        link = shown.stdout.readline().strip()
        address, page = link[: -len("/dashboard")], link[-len("/dashboard") :]
        assert (address.startswith(f"http://{HOST}:"), page) == (True, "/dashboard")
        with DIRECT.open(link) as answer:
            assert answer.status == 200
        with DIRECT.open(f"{address}/api/studies") as answer:
            numbers = {study["study_name"]: study["study_id"] for study in json.load(answer)["study_summaries"]}
        with DIRECT.open(f"{address}/api/studies/{numbers[finished.answer['study']]}") as answer:
            study = json.load(answer)
        shown.send_signal(signal.SIGTERM)
        assert shown.wait(30) == 143
    assert study["name"] == finished.answer["study"]
    assert [trial["number"] for trial in study["trials"]] == [trial["number"] for trial in finished.answer["trials"]]


@pytest.mark.usefixtures("dashboard_package")
def test_dashboard_of_an_empty_store_is_one_line(tmp_path: Path) -> None:
    done = command("insects-ui", "--dashboard", "--store", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    journal = tmp_path / "optuna.journal"
    assert done.stderr == (
        f"Error: there is no study yet in {journal}: run insects-search first, or name its --store\n"
    )
    assert not journal.exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--tracking-uri", "http://127.0.0.1:9", "shows the journal of --store, not MLflow: leave out --tracking-uri."),
        ("--study", "other", "lists all studies of the store: leave out --study."),
    ],
)
def test_dashboard_refuses_options_of_mlflows_pages(option: str, value: str, message: str) -> None:
    done = command("insects-ui", "--dashboard", option, value)
    assert done.returncode == 2
    assert f"--dashboard {message}" in done.stderr
