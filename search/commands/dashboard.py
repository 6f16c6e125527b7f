"""`insects-ui --dashboard`: Optuna's dashboard on the journal of a store, at a free loopback port."""

from __future__ import annotations

import importlib.util
import socketserver
from collections.abc import Callable
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from insects.errors import StoreError, StudyError
from search.commands.ui import HOST, leave_on_signals, open_port
from search.store.store import Store
from search.study.journal import open_journal
from search.system.terminal import say

PACKAGE = "optuna-dashboard"


def serve_dashboard(store: Store, study: str | None, port: int | None, show_link: Callable[[str], None]) -> None:
    """Run the dashboard until it is interrupted. A running search shows its new trials.

    Args:
        store: The store whose journal is shown.
        study: The study to link to; None: the study that was begun last.
        port: The port; None: a free one.
        show_link: Called with the link to the study.

    Raises:
        StudyError: There is no such study.
        StoreError: The package is not installed, the journal cannot be read, or the port cannot be served.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise StoreError(f"--dashboard needs {PACKAGE}: pip install 'insects-search[dashboard]'")
    leave_on_signals()
    storage, numbers = open_journal(store.journal)
    number = _study_number(numbers, store, study)
    from optuna_dashboard import wsgi

    with open_port(port or 0) as listener, _Server(listener.getsockname(), _QuietHandler, False) as server:
        server.socket.close()
        server.socket = listener
        server.server_bind()
        server.set_app(wsgi(storage))
        say("Ctrl-C ends the dashboard")
        show_link(f"http://{HOST}:{server.server_port}/dashboard/studies/{number}")
        server.serve_forever()


def _study_number(numbers: dict[str, int], store: Store, study: str | None) -> int:
    """Return the number of a study in the journal."""
    asked = [number for name, number in numbers.items() if study in (None, name)]
    if not asked:
        what = f"no study {study}" if study else "no study yet"
        raise StudyError(f"there is {what} in {store.journal}: run insects-search first, or name its --store")
    return max(asked)


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    """A server of pages, on a socket that listens already."""

    daemon_threads = True

    def server_bind(self) -> None:
        self.server_name, self.server_port = HOST, int(self.socket.getsockname()[1])
        self.setup_environ()


class _QuietHandler(WSGIRequestHandler):
    """Answers requests and writes nothing about them."""

    def log_message(self, *_args: object) -> None:
        return
