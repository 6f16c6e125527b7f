"""A real PostgreSQL server of this machine's packages, in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from tests.support.servers import HOST, free_port, unavailable

USER = "insects"


class Postgres:
    """A PostgreSQL cluster of its own, which can be stopped and started again at the same port.

    A test is skipped, or fails with REQUIRE_SERVICES=1, where PostgreSQL is not installed.
    """

    def __init__(self) -> None:
        self._programs = _programs()
        # Not in pytest's folder, which another user cannot enter: PostgreSQL does not run as root.
        self._folder = Path(tempfile.mkdtemp(prefix="insects-postgres-"))
        self._user = _user()
        if self._user is not None:
            os.chown(self._folder, self._user, -1)
        self.port = free_port()
        self._run("initdb", "-D", "data", "-U", USER, "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")

    def url(self, database: str) -> str:
        """Return the URL of a database, as a user types it."""
        return f"postgresql://{USER}@{HOST}:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make an empty database and return its URL."""
        self._run("createdb", "-h", HOST, "-p", str(self.port), "-U", USER, database)
        return self.url(database)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = f"-h {HOST} -p {self.port} -c unix_socket_directories='' -c fsync=off"
        self._run("pg_ctl", "start", "-D", "data", "-w", "-l", "log", "-o", settings)

    def stop(self) -> None:
        """End the server at once, as by a power cut."""
        self._run("pg_ctl", "stop", "-D", "data", "-m", "immediate", check=False)

    def __enter__(self) -> Postgres:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            user=self._user,
            check=check,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _programs() -> Path:
    """The folder of the newest version: Debian keeps initdb and pg_ctl off the path."""
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(installed[-1]) if installed else shutil.which("initdb")
    if found is None:
        unavailable("PostgreSQL is not installed: apt-get install postgresql")
    return Path(found).parent


def _user() -> int | None:
    """The user to run as; None: this one."""
    return pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
