"""A second Python process that works for this one: requests go in as lines of JSON, answers come back in order.

Tracking and model export import some ten seconds of libraries and hold the interpreter's lock while they work. In a
process of their own they cost the search nothing. The process ends with its input, so it never outlives its parent by
more than the request it is working on.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from collections import deque
from concurrent.futures import Future, wait
from typing import Any, Protocol, TextIO

from insects.errors import InsectsError, StoreError
from search.system.spawn import starting
from search.system.temporary import writing_temporary_files

NICENESS = 5  # training comes first


class BackgroundError(Exception):
    """The other process met a bug: the message is its traceback, or what it printed last."""


class Background:
    """Runs the functions of `module.HANDLERS` in another process, one after the other.

    Close it, or leave it with the process that made it.

    Raises: StoreError: there is no folder for temporary files, or the process cannot be started.
    """

    def __init__(self, module: str) -> None:
        with writing_temporary_files():
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - close() closes it
        try:
            self._process = self._start(module)
        except StoreError:
            self._errors.close()
            raise
        self._waiting: deque[tuple[Future[Any], str]] = deque()
        self._ended = False
        self._misread = ""
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        with starting():
            self._reader.start()

    def _start(self, module: str) -> subprocess.Popen[str]:
        with starting():
            return subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", "search.upload.worker_process", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                encoding="utf-8",  # as the other end has it, whatever the terminal's is
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                start_new_session=True,  # Ctrl-C is this process's to handle
            )

    def call(self, handler: str, **arguments: Any) -> Future[Any]:
        """Ask for a handler to be run; arguments and answer are what JSON can hold.

        The future raises InsectsError as the handler did or if the process was killed, or BackgroundError for anything
        else.
        """
        return self._ask(handler, arguments, ahead=False)

    def call_next(self, handler: str, **arguments: Any) -> Future[Any]:
        """The same, ahead of all that has not begun."""
        return self._ask(handler, arguments, ahead=True)

    def _ask(self, handler: str, arguments: dict[str, Any], ahead: bool) -> Future[Any]:
        future: Future[Any] = Future()
        with self._lock:
            place = min(1, len(self._waiting)) if ahead else len(self._waiting)  # the first one has begun
            self._waiting.insert(place, (future, json.dumps([handler, arguments])))
            if self._ended:
                self._fail_waiting()
            elif len(self._waiting) == 1:
                self._send_next()
        return future

    def close(self, timeout: float | None = None) -> None:
        """Let it finish what it was asked, for at most `timeout` seconds, and end it."""
        wait([future for future, _ in list(self._waiting)], timeout)
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()  # type: ignore[union-attr] # it is a pipe
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
        self._reader.join()
        self._process.stdout.close()  # type: ignore[union-attr]
        self._errors.close()

    def kill(self) -> None:
        """End it at once, from within a signal handler too."""
        self._process.kill()  # and no `wait`: the handler may have interrupted one, whose lock it would wait for

    def _read(self) -> None:
        try:
            self._pass_on()
        except Exception:  # told to all who wait, who would wait for ever
            self._misread = traceback.format_exc()
            self._process.kill()
        self._process.wait()
        with self._lock:
            self._ended = True
            self._fail_waiting()

    def _pass_on(self) -> None:
        """Give each answer to whom it belongs, until there are no more."""
        stdout = self._process.stdout
        assert stdout is not None
        for line in stdout:
            if not line.endswith("\n"):  # it was killed while it wrote
                break
            result, error = _answer(line)
            with self._lock:
                future, _ = self._waiting.popleft()
                if self._waiting:
                    self._send_next()
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

    def _send_next(self) -> None:
        """One request at a time: a pipe full of them would hold up whoever asks."""
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError):  # the process is gone: the reader is about to say why
            stdin.write(self._waiting[0][1] + "\n")
            stdin.flush()

    def _fail_waiting(self) -> None:
        code = self._process.poll() or 0
        for future, _ in self._waiting:
            if self._misread:
                future.set_exception(BackgroundError(self._misread))
            elif code < 0:  # not a bug: it was killed, or the system needed its memory
                name = _signal_name(-code)
                future.set_exception(InsectsError(f"a process that brings results to MLflow was ended by {name}"))
            else:
                future.set_exception(BackgroundError(f"the process ended: {self._last_words()}"))
        self._waiting.clear()

    def _last_words(self) -> str:
        if self._errors.closed:
            return "it was closed"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace")  # by libraries in C too
        return said[-2000:].strip() or f"exit code {self._process.poll()}"


def _answer(line: str) -> tuple[Any, Exception | None]:
    """The result, or the error, that a line of `serve` holds."""
    answer = json.loads(line)
    if "result" in answer:
        return answer["result"], None
    kind = InsectsError if answer["expected"] else BackgroundError
    return None, kind(answer["error"])


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have none
        return f"signal {number}"


class Handlers(Protocol):
    """What a module that runs in the background defines: functions by name."""

    HANDLERS: dict[str, Any]


def serve(handlers: dict[str, Any], requests: TextIO, answers: TextIO) -> None:
    """Run requests until there are no more."""
    for line in requests:
        name, arguments = json.loads(line)
        try:
            answer = {"result": handlers[name](**arguments)}
        except InsectsError as error:
            answer = {"error": str(error), "expected": True}
        except Exception:  # reported to the other side, which shows it
            answer = {"error": traceback.format_exc(), "expected": False}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Entry of the other process: the module's name is the only argument."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to a whole group they are the search's to answer
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    # What a library prints goes to stderr: the true stdout carries answers only.
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    module: Handlers = importlib.import_module(sys.argv[1])
    serve(module.HANDLERS, requests, answers)


if __name__ == "__main__":
    main()
