"""`insects-ui --dashboard`: Optuna's dashboard on the journal of a store, at a free loopback port."""

from __future__ import annotations

import importlib.util
import socketserver
from collections.abc import Callable
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from insects.errors import StoreError, StudyError
from search.commands.ui import HOST, leave_on_signals, open_port
from search.store.store import Store
from search.study.journal import open_journal
from search.system.terminal import say

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

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
    storage = open_journal(store.journal)
    number = _study_number(storage, store, study)
    from optuna_dashboard import wsgi

    with open_port(port or 0) as listener, _Server(listener.getsockname(), _QuietHandler, False) as server:
        server.socket.close()
        server.socket = listener
        server.server_bind()
        server.set_app(wsgi(storage))
        say("Ctrl-C ends the dashboard")
        show_link(f"http://{HOST}:{server.server_port}/dashboard/studies/{number}")
        server.serve_forever()


def _study_number(storage: BaseStorage | None, store: Store, study: str | None) -> int:
    """Return the id of a study in the journal."""
    studies = [] if storage is None else storage.get_all_studies()
    names = [found.study_name for found in studies if study in (None, found.study_name)]
    if storage is None or not names:
        what = f"no study {study}" if study else "no study yet"
        raise StudyError(f"there is {what} in {store.journal}: run insects-search first, or name its --store")
    return max(map(storage.get_study_id_from_name, names))


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
