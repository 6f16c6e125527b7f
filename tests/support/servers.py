"""A real MLflow server on this machine, and a proxy that loses some of its answers."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import pytest

from tests.support.environments import clean_environment

HOST = "127.0.0.1"
START_SECONDS = 120


def unavailable(reason: str) -> NoReturn:
    """Skip a test whose service is missing; with REQUIRE_SERVICES=1 fail it."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def free_port() -> int:
    """Return a port that is not in use."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


AUTH = """[mlflow]
default_permission = READ
database_uri = sqlite:///auth.db
admin_username = {user}
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
auth_cache_ttl_seconds = 300
"""
USER, PASSWORD = "keeper", "a-secret-of-tests"


class Server:
    """`mlflow server`, which can be stopped and started again at the same port.

    Args:
        folder: Where its database and its files are.
        empty_database: A database to begin with, since the server's own takes seconds to create.
        backend: The URL of another database in its place.
        auth: Whether it asks for `USER` and `PASSWORD`.

    Attributes:
        backend: The URL of its database.
        port: Its port.
        uri: The tracking URI.
    """

    def __init__(self, folder: Path, empty_database: Path, backend: str | None = None, auth: bool = False) -> None:
        self._folder, self._empty_database, self._auth = folder, empty_database, auth
        self.backend = backend or f"sqlite:///{folder / 'server.db'}"
        self.port = free_port()
        self.uri = f"http://{HOST}:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        if not self._folder.exists():
            self._folder.mkdir()
            shutil.copy(self._empty_database, self._folder / "server.db")
            (self._folder / "auth.ini").write_text(AUTH.format(user=USER, password=PASSWORD))
        command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", self.backend]
        command += ["--app-name", "basic-auth"] if self._auth else []
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        self._process = subprocess.Popen(
            command,
            cwd=self._folder,
            env={
                **clean_environment(),
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
                "MLFLOW_AUTH_CONFIG_PATH": str(self._folder / "auth.ini"),
                "MLFLOW_FLASK_SERVER_SECRET_KEY": "of tests",
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            try:
                with direct.open(f"{self.uri}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                if self._process.poll() is not None:
                    break
                time.sleep(0.2)
        self.stop()
        raise AssertionError("mlflow server did not start")

    def stop(self) -> None:
        """End the server at once, as by a power cut."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


class LosingProxy:
    """Forwards connections to a server, but loses the answer to the first request for each path.

    Args:
        server: The server.
        paths: Parts of the first lines of requests.

    Attributes:
        uri: The tracking URI.
        lost: The paths whose answer was lost.
    """

    def __init__(self, server: Server, paths: tuple[bytes, ...]) -> None:
        self._target = (HOST, server.port)
        self._paths = set(paths)
        self.lost: list[bytes] = []
        self._listener = socket.create_server((HOST, 0))
        self.uri = f"http://{HOST}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Forward the requests of a connection, one at a time and each as a whole, and their answers."""
        with client, socket.create_connection(self._target) as server:
            while request := _message(client):
                path = next((p for p in self._paths if request.split(b"\r\n", 1)[0].find(p) >= 0), None)
                server.sendall(request)
                answer = _message(server)
                if path is not None:
                    self._paths.discard(path)
                    self.lost.append(path)
                    return
                if not answer:
                    return
                client.sendall(answer)


def _message(connection: socket.socket) -> bytes:
    """Read one HTTP message with its body; empty at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if fields.get(b"transfer-encoding") == b"chunked":
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(65536)
    else:
        while len(body) < int(fields.get(b"content-length", 0)):
            body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
