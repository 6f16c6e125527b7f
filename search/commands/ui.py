"""`insects-ui`: MLflow's own pages on a store, at a free loopback port."""

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

from insects.errors import StoreError, StudyError
from search.store.store import Store
from search.system.terminal import say
from search.tracking.client import configure_mlflow, mlflow_client, mlflow_errors
from search.tracking.mlflow_views import comparison_link
from search.tracking.tags import STUDY_TAG

HOST = "127.0.0.1"
START_SECONDS = 60.0
# MLflow's job runners evaluate language models: eight more processes of a quarter of a gigabyte each.
_DEFAULTS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
# Keeps Python, and `_NO_FOLDER` uvicorn, from importing a file mlflow.py in the working directory.
_FORCED = {"PYTHONSAFEPATH": "1"}
_NO_FOLDER = ["--uvicorn-opts", f"--app-dir {os.devnull}"]


def serve_ui(store: Store, study: str | None, port: int | None, show_link: Callable[[str], None]) -> None:
    """Run `mlflow ui` until it is interrupted.

    Args:
        store: The store to show.
        study: The study to link to; None: the study that was begun last.
        port: The port; None: a free one.
        show_link: Called with the link to the list of the study's trials.

    Raises:
        StudyError: There is no such study.
        StoreError: The pages cannot be served.
    """
    if store.is_server:
        raise StoreError(f"{store.shown_uri} serves its pages itself: open it in a browser")
    store.check_database()
    port = _free_port(port or 0)
    address = f"http://{HOST}:{port}"
    command = ["mlflow", "ui", "--host", HOST, "--workers", "1"]
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _leave)
    process = subprocess.Popen(  # noqa: S603 - this interpreter and its MLflow
        [sys.executable, "-m", *command, "--port", str(port), *_NO_FOLDER],
        # In the environment: every user can read a password on the command line.
        env={**_DEFAULTS, **os.environ, **_FORCED, "MLFLOW_BACKEND_STORE_URI": store.tracking_uri},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # so that the whole process group can be ended
    )
    try:
        experiment = _experiment(store, study)  # while the pages start
        _wait_until_it_answers(process, address)
        say("Ctrl-C ends these pages")
        show_link(comparison_link(address, experiment))
        code = process.wait()
        raise StoreError(f"mlflow ui at {address} ended by itself with exit code {code}: start insects-ui again")
    finally:
        with contextlib.suppress(ProcessLookupError):  # all of its processes have ended
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _experiment(store: Store, study: str | None) -> str:
    """Return the id of a study's experiment."""
    configure_mlflow(store)
    client = mlflow_client(store)
    with mlflow_errors(store.tracking_uri):
        found = [e for e in client.search_experiments() if STUDY_TAG in e.tags and study in (None, e.name)]
    if not found:
        what = f"no study {study}" if study else "no study yet"
        raise StudyError(f"there is {what} in {store.shown_uri}: run insects-search first, or name its --store")
    return str(max(found, key=lambda experiment: experiment.creation_time or 0).experiment_id)


def _leave(number: int, _frame: FrameType | None) -> None:
    """Exit as at Ctrl-C, so that MLflow's processes are ended too."""
    raise SystemExit(128 + number)


def _free_port(port: int) -> int:
    """Return the port if it is free; a free port for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was closed a moment ago is free
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StoreError(f"port {port} cannot be served: {error.strerror}; choose another --port") from None
        return int(probe.getsockname()[1])


def _wait_until_it_answers(process: subprocess.Popen[bytes], address: str) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy cannot reach the loopback address
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            with direct.open(f"{address}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise StoreError(f"mlflow ui did not start at {address} within {START_SECONDS:.0f} s: see `mlflow ui`")
