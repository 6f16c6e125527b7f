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


def serve_dashboard(store: Store, port: int | None, show_link: Callable[[str], None]) -> None:
    """Run the dashboard until it is interrupted. A running search shows its new trials.

    Args:
        store: The store whose journal is shown.
        port: The port; None: a free one.
        show_link: Called with the link to the list of studies.

    Raises:
        StudyError: There is no study yet.
        StoreError: The package is not installed, the journal cannot be read, or the port cannot be served.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise StoreError(f"--dashboard needs {PACKAGE}: pip install 'insects-search[dashboard]'")
    leave_on_signals()
    storage = open_journal(store.journal)
    if storage is None:
        raise StudyError(f"there is no study yet in {store.journal}: run insects-search first, or name its --store")
    from optuna_dashboard import wsgi

    with open_port(port or 0) as listener, _Server(listener.getsockname(), _QuietHandler, False) as server:
        server.socket.close()
        server.socket = listener
        server.server_bind()
        server.set_app(wsgi(storage))
        say("Ctrl-C ends the dashboard")
        show_link(f"http://{HOST}:{server.server_port}/dashboard")
        server.serve_forever()


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
