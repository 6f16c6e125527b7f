"""The files of `deploy/`: the services of compose.yaml on this machine, and names that must agree."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from mlflow import MlflowClient
from optuna.storages import RDBStorage
from sqlalchemy import NullPool

from search.store.storage_url import storage_url
from tests.support.commands import RefusingProcess, invoke
from tests.support.environments import clean_environment
from tests.support.postgres import Postgres
from tests.support.servers import HOST, START_SECONDS, free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
SMALL = ("--trials=6", "--epochs=2", "--depth=1", "--width=8", "--finalists=2", "--folds=2", "--study=deployed")


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


class Services:
    """The commands of compose.yaml, with this machine's addresses and folders in place of the containers'."""

    def __init__(self, folder: Path, postgres: Postgres) -> None:
        self.services: Mapping[str, Any] = read("compose.yaml")["services"]
        self.mlflow = f"{HOST}:{free_port()}"
        scheduler = f"{HOST}:{free_port()}"
        self._places = {
            "insects@postgres:5432": f"insects@{HOST}:{postgres.port}",
            "mlflow:5000": self.mlflow,
            "scheduler:8786": scheduler,
            "--port=5000": f"--port={self.mlflow.rpartition(':')[2]}",
            "--port=8786": f"--port={scheduler.rpartition(':')[2]}",
            "0.0.0.0": HOST,  # noqa: S104 - it is replaced
            "=/artifacts": f"={folder / 'artifacts'}",
            "=/store": f"={folder / 'store'}",
        }
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def command(self, service: str) -> list[str]:
        """Return what a service runs."""
        program, *arguments = self.services[service]["command"]
        for place, here in self._places.items():
            arguments = [argument.replace(place, here) for argument in arguments]
        if program == "insects-search":
            return [str(Path(sys.executable).with_name(program)), *arguments]
        return [sys.executable, "-m", program, *arguments]

    def start(self, service: str) -> None:
        """Start a service that stays."""
        environment = {**clean_environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with open(self._folder / f"{service}.log", "ab") as log:
            process = subprocess.Popen(
                self.command(service),
                cwd=self._folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes.append(process)

    def wait_for_mlflow(self) -> None:
        """Wait until MLflow's server answers."""
        until = time.monotonic() + 2 * START_SECONDS  # it makes its tables first
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while True:
            try:
                with direct.open(f"http://{self.mlflow}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < until, (self._folder / "mlflow.log").read_text()
                time.sleep(0.2)

    def end(self) -> None:
        """End all services at once."""
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


def search(command: Sequence[str], folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [*command, *SMALL, "--json"], cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_services_of_compose_run_a_search(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    for database in ("mlflow", "optuna"):
        postgres.create(database)
    services = Services(tmp_path, postgres)
    try:
        for service in ("scheduler", "worker", "mlflow"):
            services.start(service)
        services.wait_for_mlflow()
        answer = search(services.command("search"), tmp_path)
        assert (answer["upload_error"], answer["storage_error"]) == (None, None)
        uri = f"http://{services.mlflow}"
        client = MlflowClient(uri, registry_uri=uri)  # a search in this process may have named another registry
        experiment = client.get_experiment_by_name("deployed")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], max_results=50)
        assert len([run for run in runs if str(run.info.run_name).startswith("trial-")]) == 6
        assert client.get_model_version_by_alias("insects-mlp", "best").version == "1"
    finally:
        services.end()
    trials = RDBStorage(storage_url(postgres.url("optuna")), engine_kwargs={"poolclass": NullPool})
    study = optuna.load_study(study_name="deployed", storage=trials)
    assert [trial.number for trial in study.trials] == list(range(6))
    place = ("--store", str(tmp_path / "alone"), "--json")
    alone = invoke(monkeypatch, "search", *SMALL, *place, workers=RefusingProcess)
    assert answer["study_digest"] == json.loads(alone.stdout)["study_digest"]


def test_services_depend_on_services_and_use_volumes_that_are_there() -> None:
    compose = read("compose.yaml")
    for service in compose["services"].values():
        assert set(service.get("depends_on", ())) <= set(compose["services"])
        named = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert {name for name in named if not name.startswith(".")} <= set(compose["volumes"])
        assert all((DEPLOY / name).exists() for name in named if name.startswith("."))
    assert (DEPLOY.parent / compose["services"]["search"]["build"]["dockerfile"]).exists()


def test_search_of_kubernetes_finds_its_scheduler_and_its_volume() -> None:
    cluster = read("kubernetes/dask-cluster.yaml")
    claim, job = yaml.safe_load_all((DEPLOY / "kubernetes/search.yaml").read_text(encoding="utf-8"))
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    # The operator names the scheduler's service after the cluster.
    port = cluster["spec"]["scheduler"]["service"]["ports"][0]["port"]
    assert f"tcp://{cluster['metadata']['name']}-scheduler:{port}" in container["args"]
    (volume,) = spec["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert [mount["name"] for mount in container["volumeMounts"]] == [volume["name"]]
    images = [cluster["spec"][part]["spec"]["containers"][0]["image"] for part in ("worker", "scheduler")]
    assert {*images, container["image"]} == {read("compose.yaml")["services"]["search"]["image"]}
