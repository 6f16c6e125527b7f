"""A search that is killed and started again, and the contents of its store, to be compared with those of another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from search.store.storage_url import storage_url
from tests.support.commands import invoke
from tests.support.environments import clean_environment

STUDY = "survivor"
SEARCH = (
    "--trials", "12", "--epochs", "4", "--window", "4", "--width", "8:24", "--study", STUDY, "--pruner", "median",
    "--finalists", "3", "--folds", "3",
)  # fmt: skip
END_SECONDS = 300


def command(store: Path, *more: str) -> list[str]:
    """Return the command line of the search."""
    return [str(Path(sys.executable).with_name("insects-search")), *SEARCH, "--store", str(store), "--json", *more]


def run_to_the_end(store: Path, *more: str) -> dict[str, Any]:
    """Run the search in a process of its own and return the JSON object that it prints."""
    done = subprocess.run(
        command(store, *more),
        capture_output=True,
        text=True,
        env=clean_environment(),
        timeout=END_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(f"exit code {done.returncode}: {done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def complete(monkeypatch: pytest.MonkeyPatch, store: Path, *more: str) -> dict[str, Any]:
    """Run the search to its end in this process, which costs a fifth, and return the JSON object that it prints."""
    done = invoke(monkeypatch, "search", *SEARCH, "--store", str(store), "--json", *more)
    assert done.exit_code == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])  # MLflow prints links to a server's pages before
    return answer


def sync(monkeypatch: pytest.MonkeyPatch, store: Path, tracking_uri: str) -> None:
    """Upload what MLflow does not have, in this process."""
    done = invoke(monkeypatch, "search", "--sync", "--store", str(store), "--tracking-uri", tracking_uri)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, f"Study {STUDY}: all is in MLflow"), done.stderr


def run_into_fault(store: Path, fault: str) -> bool:
    """Run the search with a fault and return whether it was reached.

    Args:
        store: The store's folder.
        fault: Where the process is killed, as in `faults/sitecustomize.py`.
    """
    with tempfile.TemporaryDirectory() as folder:
        seen = Path(folder, "seen")
        environment = {**clean_environment(), "FAULT": fault, "FAULT_SEEN": str(seen)}
        path = [str(Path(__file__).with_name("faults")), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
        subprocess.run(command(store), capture_output=True, env=environment, timeout=END_SECONDS, check=False)
        return seen.exists()


def kill_after(store: Path, seconds: float, everything: bool) -> bool:
    """Start the search, kill it with SIGKILL, and return whether it was still running.

    Args:
        store: The store's folder.
        seconds: When it is killed.
        everything: Whether its worker processes are killed too.
    """
    process = subprocess.Popen(
        command(store), env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        family = children(process.pid) if everything else []
        for pid in [process.pid, *family]:
            os.kill(pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def contents(store: Path, tracking_uri: str | None = None, database: str | None = None) -> dict[str, Any]:
    """Return all that must be equal in two stores with the same study: no times, ids and paths.

    Args:
        store: The store's folder.
        tracking_uri: Its MLflow; None: its own database.
        database: The database of `--storage`; None: its journal.
    """
    uri = tracking_uri or f"sqlite:///{store / 'mlflow.db'}"
    return {"optuna": optuna_trials(store, database), "mlflow": _mlflow(uri), "registry": _registry(uri)}


def children(pid: int) -> list[int]:
    """Return the ids of the processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in tasks for child in children.read_text().split()]


def optuna_trials(store: Path, database: str | None = None) -> list[Any]:
    """Return the trials of the study in the journal of a store, or in the database of `--storage`."""
    import optuna
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend
    from sqlalchemy import NullPool

    storage: Any = (
        JournalStorage(JournalFileBackend(str(store / "optuna.journal")))
        if database is None
        else RDBStorage(storage_url(database), engine_kwargs={"poolclass": NullPool})
    )
    study = optuna.load_study(study_name=STUDY, storage=storage)
    return [[t.number, t.state.name, t.params, t.values, t.intermediate_values] for t in study.trials]


def _mlflow(uri: str) -> list[Any]:
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    client = MlflowClient(uri)
    experiments = client.search_experiments(view_type=ViewType.ALL)
    runs = [run for e in experiments for run in client.search_runs([e.experiment_id], max_results=1000)]
    return sorted((_run(client, run) for run in runs), key=lambda run: str(run["name"]))


def _run(client: Any, run: Any) -> dict[str, Any]:
    histories = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "params": run.data.params,
        "tags": {key: value for key, value in run.data.tags.items() if _is_equal_in_all_stores(key)},
        "nested": "mlflow.parentRunId" in run.data.tags,
        "metrics": {key: [(m.step, m.value) for m in history] for key, history in histories.items()},
        "artifacts": sorted(file.path for file in client.list_artifacts(run.info.run_id)),
    }


def _registry(uri: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(uri, registry_uri=uri)  # else it is whatever was set last in this process
    models = client.search_registered_models()
    versions = [client.get_model_version(v.name, v.version) for v in client.search_model_versions()]
    tags = [{k: t for k, t in v.tags.items() if _is_equal_in_all_stores(k)} for v in versions]
    aliases = [{alias: str(version) for alias, version in model.aliases.items()} for model in models]
    return [aliases, [str(v.version) for v in versions], tags]


def _is_equal_in_all_stores(tag: str) -> bool:
    """Ids and paths differ from store to store, and the report names its path."""
    of_a_store = ("insects.store", "insects.search_id", "insects.search_run", "insects.report")
    return not tag.startswith("mlflow.") and tag not in of_a_store
