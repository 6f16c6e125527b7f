"""Bringing results to MLflow while a search goes on, and at its end: what waits, what went wrong, what it cost."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any

from insects.errors import InsectsError
from search.background import Background
from search.registry import Registered
from search.results import StudyFolder
from search.store import Store

INTERRUPT_SECONDS = 3.0


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
        self._courier = Background("search.courier")
        self._exporter = Background("search.exporter")
        self._asked: list[Future[Any]] = [
            self._courier.call("warm_up", **self._place),
            self._exporter.call("warm_up"),
        ]

    def open(self, folder: StudyFolder) -> None:
        """Name the study to deliver."""
        self._folder = folder
        self._asked.append(self._courier.call("open", **self._place, study=folder.name))

    def deliver(self, number: int) -> None:
        """Deliver a finished trial in the background."""
        self._asked.append(self._courier.call("deliver", number=number))

    def finish(self, best: int | None, model_name: str) -> Registered | None:
        """Deliver all that is left and register the model of trial `best`; waits for both.

        Returns: the registered version; None if there is no best trial, or MLflow is away (`trouble` says so).
        """
        registered = None
        try:
            self.seconds = self._courier.call("deliver_all").result()
            if best is not None:
                runs = self._courier.call("run_of", number=best).result()
                answer = self._exporter.call(
                    "register", **self._place, study=self._folder.name, number=best, runs=runs, name=model_name
                ).result()
                registered = Registered(**answer)
            self._courier.call("finish", status="FINISHED").result()
        except InsectsError as error:
            self.trouble = str(error)
        else:
            self._check()
        return registered

    def interrupt(self) -> None:
        """Deliver what can be delivered within `INTERRUPT_SECONDS`; the rest is delivered next time."""
        try:
            self._courier.call("deliver_all")
            self._courier.call("finish", status="KILLED").result(INTERRUPT_SECONDS)
        except FutureTimeout:
            self.trouble = "there was no time to bring all results to MLflow"
        except InsectsError as error:
            self.trouble = str(error)

    def close(self, at_once: bool = False) -> None:
        """End both processes."""
        for process in (self._courier, self._exporter):
            if at_once:
                process.kill()
            process.close()

    def _check(self) -> None:
        """Everything is there now, so what was refused on the way no longer matters; a bug does."""
        for future in self._asked:
            error = future.exception()
            if error is not None and not isinstance(error, InsectsError):
                raise error
