"""A real Dask scheduler and workers, as processes that can be killed and started again."""

# mypy: allow-untyped-calls
# (Dask is typed in part only)

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from tests.support.environments import clean_environment
from tests.support.servers import HOST, START_SECONDS, free_port, unavailable


def tls_settings(folder: Path) -> dict[str, str]:
    """Make a certificate and return the settings of Dask that use it for scheduler, workers and clients."""
    if shutil.which("openssl") is None:
        unavailable("openssl is not installed")
    certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=insects"]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    settings = {"distributed.comm.tls.ca-file": certificate}
    for role in ("scheduler", "worker", "client"):
        settings |= {f"distributed.comm.tls.{role}.cert": certificate, f"distributed.comm.tls.{role}.key": key}
    return settings


class DaskCluster:
    """A scheduler and its workers, of one process and one thread each.

    Args:
        folder: Where they put their files.
        workers: Workers to begin with.
        protocol: That of the scheduler's address.
        settings: Settings of Dask for all of them.
    """

    def __init__(
        self, folder: Path, workers: int, protocol: str = "tcp", settings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        try:
            import distributed  # noqa: F401
        except ImportError:
            unavailable("distributed is not installed")
        self._folder, self._begin_with = folder, workers
        self._port = free_port()
        self.address = f"{protocol}://{HOST}:{self._port}"
        self._protocol = protocol
        self._settings = {f"DASK_{name.upper().replace('.', '__')}": value for name, value in settings.items()}
        self.scheduler_file = folder / "scheduler.json"
        self._scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> DaskCluster:
        self._folder.mkdir()
        self.start_scheduler()
        for _ in range(self._begin_with):
            self.start_worker()
        self.wait_for(self._begin_with)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in [*self.workers, *([self._scheduler] if self._scheduler else [])]:
            process.kill()
            process.wait()

    def start_scheduler(self) -> None:
        """Start the scheduler, at the same port each time."""
        place = ("--host", HOST, "--port", str(self._port), "--scheduler-file", str(self.scheduler_file))
        self._scheduler = self._start("scheduler", *place, "--protocol", self._protocol, "--no-dashboard")

    def kill_scheduler(self) -> None:
        """End the scheduler at once; workers that lose theirs end themselves."""
        assert self._scheduler is not None
        self._scheduler.kill()
        self._scheduler.wait()

    def start_worker(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker."""
        arguments: tuple[str, ...] = (
            "--nthreads",
            "1",
            "--no-nanny",
            "--no-dashboard",
            "--local-directory",
            str(self._folder),
        )
        arguments += ("--death-timeout", str(START_SECONDS))  # also where a test was killed
        self.workers.append(self._start("worker", self.address, *arguments, *options, **environment))
        return self.workers[-1]

    def kill_worker(self, place: int) -> None:
        """End a worker at once."""
        os.kill(self.workers[place].pid, signal.SIGKILL)
        self.workers[place].wait()

    def ask(self, function: Any, *arguments: Any) -> Any:
        """Call a function with a client of the scheduler, and return what it returns."""
        from distributed import Client

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # workers with other versions, on purpose
            with Client(self.address, timeout=START_SECONDS, set_as_default=False) as client:
                return function(client, *arguments)

    def wait_for(self, workers: int) -> None:
        """Wait until there are so many workers."""
        until = time.monotonic() + START_SECONDS
        while self.ask(_count) != workers:
            assert time.monotonic() < until, "workers did not start"
            time.sleep(0.2)

    def wait_until_idle(self) -> None:
        """Wait until nothing runs on the workers, and nothing is left of any client."""
        until = time.monotonic() + START_SECONDS
        while self.ask(_traces) != [0]:
            assert time.monotonic() < until, "something is left on the cluster"
            time.sleep(0.2)

    def _start(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        with open(self._folder / f"{words[0]}.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words],
                cwd=self._folder,
                env={**clean_environment(), "DASK_LOGGING__DISTRIBUTED": "info", **self._settings, **environment},
                stdout=log,
                stderr=log,
            )


def _count(client: Any) -> int:
    return len(client.scheduler_info(n_workers=-1)["workers"])


def _traces(client: Any) -> list[int]:
    """The different numbers of tasks that the scheduler knows and of threads that train on its workers."""

    def on_scheduler(dask_scheduler: Any) -> int:
        return len(dask_scheduler.tasks)

    def on_worker(dask_worker: Any) -> int:
        return len(dask_worker.active_threads) + len(dask_worker.state.tasks)

    return sorted({client.run_on_scheduler(on_scheduler), *client.run(on_worker).values()})
