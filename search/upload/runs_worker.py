"""The process that brings results to MLflow while the search goes on (see `search.upload.worker_process`)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from insects.errors import StoreError
from search.store.store import Store, insist
from search.system.lock import Held, hold
from search.system.temporary import writing_temporary_files
from search.tracking.trial_runs import Projection

RETRY_SECONDS = 15.0
LOCK_SECONDS = 60.0
_LOCK = "delivery.lock"

Action = Callable[[Projection], object]


class Courier:
    """Delivers one study. While MLflow is away it looks again every `RETRY_SECONDS` and holds nothing up."""

    def __init__(self) -> None:
        self._store: Store | None = None
        self._study = ""
        self._lock: IO[str] | None = None
        self._projection: Projection | None = None
        self._away_until = -math.inf
        self._seconds: dict[str, float] = {}

    def warm_up(self, store: str, tracking_uri: str) -> None:
        """Import everything, and create the database's tables, while the search still reads its data."""
        with writing_temporary_files():  # matplotlib's cache is one where it cannot be kept
            import insects.plots  # noqa: F401 - for its side effect of being loaded

        Store(Path(store), tracking_uri).client().search_experiments(max_results=1)

    def open(self, store: str, tracking_uri: str, study: str) -> None:
        """Name the study. Two processes never deliver the same one at once."""
        self.close()
        self._seconds = {"figures": 0.0, "tracking": 0.0}
        self._store, self._study, self._away_until = Store(Path(store), tracking_uri), study, -math.inf
        self._lock = hold(self._store.study(study).path / _LOCK, wait=LOCK_SECONDS)

    def deliver(self, number: int) -> None:
        """Deliver one trial, if MLflow was there lately."""
        if time.monotonic() >= self._away_until:
            try:
                self._try(lambda projection: projection.deliver(number))
            except StoreError:  # of two deliverers that make the same thing at once one is refused: it is there now
                self._try(lambda projection: projection.deliver(number))

    def deliver_all(self) -> dict[str, float]:
        """Deliver everything that is not there yet; how many seconds went into `figures` and `tracking` so far."""
        self._insist(lambda projection: projection.deliver_missing())
        return self._seconds

    def restore_files(self) -> dict[str, float]:
        """Bring files again that were deleted under what is there; the seconds of `deliver_all` with those of this."""
        self._insist(lambda projection: projection.restore_files())
        return self._seconds

    def compare(self) -> dict[str, float]:
        """Bring the comparison of all trials to the search's run; the seconds of `deliver_all` with those of this."""
        self._insist(lambda projection: projection.compare())
        return self._seconds

    def finish(self, status: str) -> None:
        """Close the search's run."""
        self._insist(lambda projection: projection.finish(status))

    def run_of(self, number: int) -> list[str]:
        """Experiment, search run and own run of a trial."""
        run_ids = []
        projection = self._insist(lambda projection: run_ids.append(projection.settled(number)))
        return [projection.experiment_id, projection.search_run_id, *run_ids]

    def close(self) -> None:
        """Let another process deliver."""
        if self._lock is not None:
            self._lock.close()
        self._lock = self._projection = None

    def _insist(self, action: Action) -> Projection:
        return insist(lambda: self._try(action))

    def _try(self, action: Action) -> Projection:
        assert self._store is not None, "open has named it"
        folder = self._store.study(self._study)
        try:
            self._lock = self._lock or hold(folder.path / _LOCK)  # whoever had it may have ended meanwhile
            if self._projection is None:
                self._projection = Projection(self._store, folder, self._seconds)
            action(self._projection)
            self._away_until = -math.inf
        except Held as error:
            raise StoreError(
                f"{error.holder} is bringing study {self._study} to MLflow: try again when it has ended"
            ) from error
        except StoreError:
            self._projection = None  # what it remembers may be deleted or lost by now
            self._away_until = time.monotonic() + RETRY_SECONDS
            raise
        return self._projection


_courier = Courier()
_NAMES = ("warm_up", "open", "deliver", "deliver_all", "restore_files", "run_of", "compare", "finish", "close")
HANDLERS = {name: getattr(_courier, name) for name in _NAMES}
