"""`insects-ui`: MLflow's own pages on a store, at a free loopback port."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from types import FrameType

from insects.errors import StoreError, StudyError
from search.store.store import Store
from search.system.terminal import say
from search.tracking.client import configure_mlflow, mlflow_client, mlflow_errors
from search.tracking.database_reads import last_experiment
from search.tracking.mlflow_views import comparison_link
from search.tracking.tags import STUDY_TAG

HOST = "127.0.0.1"
# MLflow's job runners evaluate language models: eight more processes of a quarter of a gigabyte each.
_DEFAULTS = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
# Keeps Python, and `--app-dir` uvicorn, from importing a file mlflow.py in the working directory.
_FORCED = {"PYTHONSAFEPATH": "1"}
# Standard input is the one file that MLflow hands on to uvicorn.
_UVICORN = ["--uvicorn-opts", f"--app-dir {os.devnull} --fd 0"]


def serve_ui(store: Store, study: str | None, port: int | None, show_link: Callable[[str], None]) -> None:
    """Run `mlflow ui` until it is interrupted.

    MLflow takes seconds to start. The port is open before: a browser that follows the link waits for the pages.

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
    experiment = _experiment(store, study)
    leave_on_signals()
    with open_port(port or 0) as listener:
        port = int(listener.getsockname()[1])
        process = subprocess.Popen(  # noqa: S603 - this interpreter and its MLflow
            [sys.executable, "-m", "mlflow", "ui", "--host", HOST, "--port", str(port), "--workers", "1", *_UVICORN],
            # In the environment: every user can read a password on the command line.
            env={**_DEFAULTS, **os.environ, **_FORCED, "MLFLOW_BACKEND_STORE_URI": store.tracking_uri},
            stdin=listener.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that the whole process group can be ended
        )
    try:
        address = f"http://{HOST}:{port}"
        say("The first page takes some seconds; Ctrl-C ends these pages")
        show_link(comparison_link(address, experiment))
        code = process.wait()
        raise StoreError(f"mlflow ui at {address} ended by itself with exit code {code}: see `mlflow ui`")
    finally:
        with contextlib.suppress(ProcessLookupError):  # all of its processes have ended
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _experiment(store: Store, study: str | None) -> str:
    """Return the id of a study's experiment."""
    experiment = last_experiment(store, STUDY_TAG, study)
    if experiment is not None:
        return experiment
    configure_mlflow(store)
    client = mlflow_client(store)
    with mlflow_errors(store.tracking_uri):
        found = [e for e in client.search_experiments() if STUDY_TAG in e.tags and study in (None, e.name)]
    if not found:
        what = f"no study {study}" if study else "no study yet"
        raise StudyError(f"there is {what} in {store.shown_uri}: run insects-search first, or name its --store")
    return str(max(found, key=lambda experiment: experiment.creation_time or 0).experiment_id)


def leave_on_signals() -> None:
    """Exit at SIGTERM and SIGHUP as at Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _leave)


def _leave(number: int, _frame: FrameType | None) -> None:
    """Exit as at Ctrl-C, so that MLflow's processes are ended too."""
    raise SystemExit(128 + number)


def open_port(port: int) -> socket.socket:
    """Return a socket that listens at the port; at a free one for 0."""
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:  # its own text names the address in some versions of Python
        reason = os.strerror(error.errno or 0)
        raise StoreError(f"port {port} cannot be served: {reason}; choose another --port") from None
    # uvicorn does not know that the socket is of TCP, and asyncio sets this for TCP only.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
