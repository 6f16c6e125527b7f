"""A worker object in a Python process of its own: its methods are called here and return futures.

Tracking and model export import some ten seconds of libraries and hold the interpreter's lock while they work; in a
process of their own they cost the search nothing. The process ends when its input does, so it outlives its parent only
by the call that it is working on. `concurrent.futures.ProcessPoolExecutor` would run the caller's main module again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
import typing
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import IO, Any, Concatenate, Generic, ParamSpec, TextIO, TypeVar

from insects.errors import InsectsError, StoreError
from search.system.collector import collect_rarely

NICENESS = 5  # training comes first
CHECK_SECONDS = 0.1

_Worker = TypeVar("_Worker")
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class WorkerError(Exception):
    """A bug in the worker: the message is its traceback, or what its process printed last."""


class WorkerProcess(Generic[_Worker]):
    """Calls the methods of a worker in another process, one after the other.

    Args:
        worker: The worker's class. Its module must be cheap to import, since this process imports it too.
        arguments: The arguments of its constructor, ready for JSON.
        niceness: By how much the process is nicer than this one.
        keeps_open: A file, for example a lock, that the process has open for as long as it runs.

    Attributes:
        has_ended: Whether the process has ended, so that every call fails.

    Raises:
        StoreError: There is no room for temporary files.
    """

    def __init__(
        self,
        worker: type[_Worker],
        *arguments: str,
        niceness: int = NICENESS,
        keeps_open: IO[str] | None = None,
    ) -> None:
        try:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - close() closes it
        except OSError as error:
            raise StoreError(
                f"temporary files cannot be written ({error}): make room, or set TMPDIR to a folder that has some"
            ) from error
        self._process = self._start(worker, niceness, () if keeps_open is None else (keeps_open.fileno(),))
        self._waiting: deque[_Call] = deque()
        self.has_ended = False
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._send(json.dumps(arguments))  # not on the command line: every user can read a password there

    def _start(self, worker: type[_Worker], niceness: int, inherited: tuple[int, ...]) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - this interpreter and this module
            [sys.executable, "-P", "-m", __name__, worker.__module__, worker.__qualname__, str(niceness)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",  # as in `main`, whatever the terminal's encoding is
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for this process to handle
            pass_fds=inherited,
        )

    def submit(
        self,
        method: Callable[Concatenate[_Worker, _Parameters], _Result],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> Future[_Result]:
        """Call a method of the worker after all calls before.

        Args:
            method: The method, as an attribute of the worker's class.
            args: Its arguments, ready for JSON.
            kwargs: Its keyword arguments, ready for JSON.

        Returns:
            A future of what it returns: something that JSON can hold, or a dataclass of strings. It raises InsectsError
            as the method did, or if the process was killed, and WorkerError for anything else.
        """
        return self._enqueue(_Call(method, args, kwargs), ahead=False)

    def submit_next(
        self,
        method: Callable[Concatenate[_Worker, _Parameters], _Result],
        *args: _Parameters.args,
        **kwargs: _Parameters.kwargs,
    ) -> Future[_Result]:
        """Call a method of the worker before all calls that have not begun; see `submit`."""
        return self._enqueue(_Call(method, args, kwargs), ahead=True)

    def _enqueue(self, call: _Call, ahead: bool) -> Future[Any]:
        with self._lock:
            if not self.has_ended:
                place = min(1, len(self._waiting)) if ahead else len(self._waiting)  # the first call has begun
                self._waiting.insert(place, call)
                if len(self._waiting) == 1:
                    self._send(call.request)
                return call.future
        call.future.set_exception(self._why_ended())
        return call.future

    def close(self, timeout: float | None = None) -> None:
        """Wait at most `timeout` seconds for the calls, then end the process."""
        wait([call.future for call in list(self._waiting)], timeout)
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
        """End the process at once, from within a signal handler too."""
        self._process.kill()  # without `wait`, which the handler may have interrupted while it held its lock

    def _read(self) -> None:
        try:
            self._read_answers()
        except BaseException:  # a bug, which the thread prints: the callers must not wait for ever
            self._process.kill()
            raise
        finally:
            self._process.wait()
            with self._lock:
                self.has_ended = True
            for call in self._waiting:  # without the lock: what waits for them may submit calls
                call.future.set_exception(self._why_ended())
            self._waiting.clear()

    def _read_answers(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        for line in stdout:
            if not line.endswith("\n"):  # the process was killed while it wrote
                break
            answer = json.loads(line)
            with self._lock:
                call = self._waiting.popleft()
                if self._waiting:
                    self._send(self._waiting[0].request)
            call.finish(answer)

    def _send(self, request: str) -> None:
        """Send one request; the next follows its answer, since a full pipe would block the caller."""
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(OSError, ValueError):  # the process has ended: the reader reports why
            stdin.write(request + "\n")
            stdin.flush()

    def _why_ended(self) -> Exception:
        code = self._process.poll() or 0
        if code < 0:  # not a bug: somebody, or a system without memory, killed it
            return InsectsError(f"a process that uploads results was ended by {signal.Signals(-code).name}")
        return WorkerError(f"the process ended: {self._last_words()}")

    def _last_words(self) -> str:
        if self._errors.closed:
            return "it was closed"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace")  # libraries in C print in any encoding
        return said[-2000:].strip() or f"exit code {self._process.poll()}"


class _Call:
    """A call of a method that waits for its answer."""

    def __init__(self, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.request = json.dumps([method.__name__, args, kwargs])
        self.future: Future[Any] = Future()
        self._method = method

    def finish(self, answer: dict[str, Any]) -> None:
        """Set the future to the result, or to the error, of an answer of `serve`."""
        if "error" in answer:
            kind = InsectsError if answer["expected"] else WorkerError
            self.future.set_exception(kind(answer["error"]))
        else:
            self.future.set_result(_decoded(answer["result"], self._method))


def _decoded(result: Any, method: Callable[..., Any]) -> Any:
    """Return the result of a method as the type that the method declares; JSON knows no dataclasses."""
    declared = typing.get_type_hints(method).get("return")
    kinds = (declared, *typing.get_args(declared))
    kind = next((kind for kind in kinds if isinstance(kind, type) and dataclasses.is_dataclass(kind)), None)
    return result if kind is None or result is None else kind(**result)


def wait_for(future: Future[Any], check: Callable[[], None]) -> None:
    """Wait for a call to end, well or with an error.

    Args:
        future: The call.
        check: Called every `CHECK_SECONDS`; what it raises ends the wait.
    """
    while not wait([future], CHECK_SECONDS).done:
        check()


def result_of(future: Future[_Result], check: Callable[[], None]) -> _Result:
    """Wait for a call as `wait_for` does, and return its result or raise its error."""
    wait_for(future, check)
    return future.result()


def serve(worker: object, requests: TextIO, answers: TextIO) -> None:
    """Answer requests until there are no more.

    Args:
        worker: The object whose methods are called.
        requests: A line of JSON a request: name, arguments, keyword arguments.
        answers: A line of JSON an answer: `result`, or `error` and whether it was an InsectsError.
    """
    for line in requests:
        name, args, kwargs = json.loads(line)
        try:
            result = getattr(worker, name)(*args, **kwargs)
            is_object = dataclasses.is_dataclass(result) and not isinstance(result, type)
            answer = {"result": dataclasses.asdict(result) if is_object else result}
        except InsectsError as error:
            answer = {"error": str(error), "expected": True}
        except Exception:  # the caller reports it
            answer = {"error": traceback.format_exc(), "expected": False}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """Run the worker whose module, class and niceness are the three arguments."""
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole group, they are for the search to handle
        signal.signal(number, signal.SIG_IGN)
    os.nice(int(sys.argv[3]))
    collect_rarely()
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not get among the answers
    arguments = json.loads(requests.readline() or "null")
    if arguments is not None:  # else the parent has died
        worker = getattr(importlib.import_module(sys.argv[1]), sys.argv[2])(*arguments)
        serve(worker, requests, answers)


if __name__ == "__main__":
    main()
