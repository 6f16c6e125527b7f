"""Bringing results to MLflow while a search goes on, and at its end: what waits, what went wrong, what it cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from insects.errors import InsectsError
from search.registry.alias import Registered
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.system.signals import Interrupted
from search.system.terminal import say
from search.upload.worker_process import Background

INTERRUPT_SECONDS = 3.0
CHECK_SECONDS = 0.1
_NO_TIME = "there was no time to bring all results to MLflow"


@dataclass
class Delivery:
    """One study's way to MLflow: a process for its runs, and one for the export of its best model.

    trouble: the first thing that kept MLflow from being up to date, empty if nothing did.
    """

    store: Store
    trouble: str = ""
    seconds: dict[str, float] = field(default_factory=lambda: {"figures": 0.0, "tracking": 0.0})

    def __post_init__(self) -> None:
        self._place = {"store": str(self.store.path), "tracking_uri": self.store.tracking_uri}
        self._begins_slowly = self.store.begins_slowly
        self._has_warned = False
        self._courier = Background("search.upload.runs_worker")
        self._exporter = Background("search.upload.model_worker")
        self._asked: list[Future[Any]] = [self._courier.call("warm_up", **self._place)]

    def open(self, folder: StudyFolder) -> None:
        """Name the study to deliver."""
        self._folder, self.trouble = folder, ""
        if self._begins_slowly:
            say("Creating MLflow's database meanwhile: some seconds, once a machine")
            self._begins_slowly = False
        self._opened = self._courier.call("open", **self._place, study=folder.name)
        self._asked.append(self._opened)

    def wait_until_open(self) -> None:
        """Wait for another process that delivers the study; `finish` says if it was in vain."""
        wait([self._opened])

    def expect_model(self) -> None:
        """Get ready to export a new best model; a study that is done has its model already."""
        self._asked.append(self._exporter.call("warm_up"))

    def deliver(self, number: int) -> None:
        """Deliver a finished trial in the background."""
        delivered = self._courier.call("deliver", number=number)
        self._asked.append(delivered)
        delivered.add_done_callback(self._warn)

    @property
    def left(self) -> int:
        """Requests of this search that wait to be done."""
        return sum(not future.done() for future in self._asked)

    def finish(
        self, best: int | None, model_name: str, check: Callable[[], None], mends: bool = False
    ) -> Registered | None:
        """Deliver all that is left and register the model of trial `best`; waits for both.

        check: called every `CHECK_SECONDS` meanwhile; what it raises ends the wait. mends: no search has just ended, so
        files that are gone are brought again, and a model that was compared with the best one is not compared again.
        Returns: the registered version; None if there is no best trial, or MLflow is away (`trouble` says so).
        """
        registered = None
        with self._noting_trouble():
            # The best trial first: while the other process exports its model, this one delivers and compares the rest.
            _wait(self._opened, check)  # nothing may come ahead of it; in vain, the next step tries again
            runs = None if best is None else _answer(self._courier.call_next("run_of", number=best), check)
            steps = ("deliver_all", "restore_files", "compare") if mends else ("deliver_all", "compare")
            asked = [self._courier.call(step) for step in steps]
            if best is not None:
                request = {"study": self._folder.name, "number": best, "runs": runs, "name": model_name}
                request["again"] = not mends
                with self._noting_trouble():  # a model that cannot be registered holds up nothing else
                    registered = Registered(**_answer(self._exporter.call("register", **self._place, **request), check))
            for future in asked:
                self.seconds = _answer(future, check)
            _answer(self._courier.call("finish", status="FINISHED"), check)
        if not self.trouble:
            self._check()
        return registered

    def fail(self, check: Callable[[], None]) -> None:
        """Deliver all that is left of a search that cannot go on; waits for it, at most until it is interrupted."""
        asked = [self._courier.call("deliver_all"), self._courier.call("finish", status="FAILED")]
        with self._noting_trouble():
            try:
                for future in asked:
                    _answer(future, check)
            except Interrupted:
                self.trouble = _NO_TIME

    def interrupt(self) -> None:
        """Deliver what can be delivered within `INTERRUPT_SECONDS`; the rest is delivered next time."""
        with self._noting_trouble():
            self._courier.call("deliver_all")
            try:
                self._courier.call("finish", status="KILLED").result(INTERRUPT_SECONDS)
            except FutureTimeout:
                self.trouble = _NO_TIME

    def close(self) -> None:
        """End both processes at once; they would take a second each to take their libraries down."""
        self._has_warned = True  # what they are still asked for is told by `trouble`
        self.kill()
        for process in (self._courier, self._exporter):
            process.close()

    def kill(self) -> None:
        """End both processes, from within a signal handler too."""
        for process in (self._courier, self._exporter):
            process.kill()

    def _warn(self, delivered: Future[Any]) -> None:
        """Say once, while there is time to do something about it, that trials do not get to MLflow."""
        error = delivered.exception()
        if isinstance(error, InsectsError) and not self._has_warned:
            self._has_warned = True
            say(f"Trials wait to be brought to MLflow, the search goes on: {error}")

    @contextmanager
    def _noting_trouble(self) -> Iterator[None]:
        try:
            yield
        except InsectsError as error:
            self.trouble = self.trouble or str(error)

    def _check(self) -> None:
        """Everything is there now, so what was refused on the way no longer matters; a bug does."""
        for future in self._asked:
            error = future.exception()
            if error is not None and not isinstance(error, InsectsError):
                raise error


def _answer(future: Future[Any], check: Callable[[], None]) -> Any:
    _wait(future, check)
    return future.result()


def _wait(future: Future[Any], check: Callable[[], None]) -> None:
    while not wait([future], CHECK_SECONDS).done:
        check()
