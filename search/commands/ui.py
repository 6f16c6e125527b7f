"""MLflow's own pages on a store, at a loopback port that is free."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from types import FrameType

import click

from insects.errors import StoreError, StudyError
from search.store.store import Store, reaching
from search.system.spawn import starting
from search.tracking.mlflow_views import comparison_link
from search.tracking.tags import STUDY_TAG

HOST = "127.0.0.1"
START_SECONDS = 60.0
# MLflow's job runners judge answers of language models: eight more processes, each of a quarter of a gigabyte.
_DEFAULTS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
# Neither Python nor uvicorn shall look for modules in the working directory, where a file may be called mlflow.py.
_FORCED = {"PYTHONSAFEPATH": "1"}
_NO_FOLDER = ["--uvicorn-opts", f"--app-dir {os.devnull}"]


def serve_ui(store: Store, study: str | None, port: int | None, say: Callable[[str], None]) -> None:
    """Run `mlflow ui` until it is interrupted; `say` gets the link to the comparison of the study's trials.

    study: its name; None: the one that was begun last.
    Raises: StudyError: no such study. StoreError: the pages cannot be served.
    """
    if store.is_server:
        raise StoreError(f"{store.shown_uri} serves its pages itself: open it in a browser")
    store.check_begun()
    port = _free_port(port or 0)
    address = f"http://{HOST}:{port}"
    command = ["mlflow", "ui", "--host", HOST, "--workers", "1"]
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _leave)
    with starting():
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and its MLflow
            [sys.executable, "-m", *command, "--port", str(port), *_NO_FOLDER],
            # By the environment: what is on its command line, a password in the URI too, every user can read.
            env={**_DEFAULTS, **os.environ, **_FORCED, "MLFLOW_BACKEND_STORE_URI": store.tracking_uri},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that its whole group can be ended
        )
    try:
        experiment = _experiment(store, study)  # while the pages start
        _wait_until_it_answers(process, address)
        click.echo("Ctrl-C ends these pages", err=True)
        say(comparison_link(address, experiment))
        code = process.wait()
        raise StoreError(f"mlflow ui at {address} ended by itself with exit code {code}: start insects-ui again")
    finally:
        with contextlib.suppress(ProcessLookupError):  # its workers may be left though it has ended
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _experiment(store: Store, study: str | None) -> str:
    """The id of a study's experiment."""
    client = store.client()
    with reaching(store.tracking_uri):
        found = [e for e in client.search_experiments() if STUDY_TAG in e.tags and study in (None, e.name)]
    if not found:
        what = f"no study {study}" if study else "no study yet"
        raise StudyError(f"there is {what} in {store.shown_uri}: run insects-search first, or name its --store")
    return str(max(found, key=lambda experiment: experiment.creation_time or 0).experiment_id)


def _leave(number: int, _frame: FrameType | None) -> None:
    """End as at Ctrl-C, so that MLflow's processes are not left behind."""
    raise SystemExit(128 + number)


def _free_port(port: int) -> int:
    """The port, if nobody listens there; any that is free for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was left a moment ago is free
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StoreError(f"port {port} cannot be served: {error.strerror}; choose another --port") from None
        return int(probe.getsockname()[1])


def _wait_until_it_answers(process: subprocess.Popen[bytes], address: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy would not find this machine
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            with direct.open(f"{address}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise StoreError(f"mlflow ui did not start at {address} within {START_SECONDS:.0f} s: see `mlflow ui`")
