"""The runs of a study in MLflow: which one is a trial's, and which are one too many.

Two people who start the same command on one server deliver the same study from two stores. MLflow has neither locks
nor unique keys for runs, so both may look, find nothing and make a run. Whoever has made runs therefore looks again.
The later of two sees both, and all choose the same one to keep: a whole one before one that is not, then the lower id.
A run that another store began is not written to, since its times would be mixed with ours; it is deleted once there is
a whole one, and who is still writing it learns that from MLflow and looks again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from insects.errors import StoreError
from search.tracking.tags import ROLE_TAG, SEARCH_RUN_TAG, TRIAL_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PARENT_TAG = "mlflow.parentRunId"
ENDED = ("FINISHED", "KILLED", "FAILED")
_OURS = f"tags.`{ROLE_TAG}` != ''"
_SEARCHES = f"tags.`{ROLE_TAG}` = 'search'"
_PAGE = 1000


@dataclass(frozen=True)
class TrialRun:
    """A trial's run as it is in MLflow.

    started, ended: milliseconds since 1970. whole: it was terminated, so nothing of it is missing.
    """

    number: int
    run_id: str
    artifact_uri: str
    started: int
    ended: int = 0
    whole: bool = False


class StudyRuns:
    """The runs in a study's experiment. What was found is remembered until `forget`.

    create: makes the search's run; called if there is none.
    Raises, from every method: StoreError: the search's run is gone, or not the only one. Others are what
    MLflow raises; see `reaching`.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, create: Callable[[], object]) -> None:
        self._client, self._experiment_id = client, experiment_id
        self._known: dict[int, list[TrialRun]] | None = None
        self.search_run = self._search_run(create)

    def whole(self, number: int) -> TrialRun | None:
        """The whole run of a trial, if there is one."""
        return next((run for run in self._runs().get(number, []) if run.whole), None)

    def count(self) -> int:
        """Trials that have a whole run, whichever store trained them."""
        return sum(runs[0].whole for runs in self._runs().values() if runs)

    def begun(self, number: int, started: int) -> TrialRun | None:
        """The run of a trial that was trained at that time: one that this store began and did not end."""
        return next((run for run in self._runs().get(number, []) if run.started == started), None)

    def look(self, number: int) -> None:
        """Look for the runs of one trial again."""
        wanted = f"tags.`{ROLE_TAG}` = 'trial' and tags.`{TRIAL_TAG}` = '{number}'"
        self._runs()[number] = _by_number(self._find(wanted)).get(number, [])

    def add(self, run: TrialRun) -> None:
        """Remember a run in its present state."""
        others = [other for other in self._runs().get(run.number, []) if other.run_id != run.run_id]
        self._runs()[run.number] = [run, *others]

    def forget(self) -> None:
        """Look for everything again when it is asked for."""
        self._known = None

    def _search_run(self, create: Callable[[], object]) -> Run:
        """Of several the one with the lowest id stays, whoever looks."""
        found = list(self._find(_SEARCHES))
        if not found:
            create()
            found = list(self._find(_SEARCHES))
        kept, *others = sorted(found, key=lambda run: str(run.info.run_id))
        for other in others:
            self._client.delete_run(other.info.run_id)
        return kept

    def _settle(self) -> dict[int, list[TrialRun]]:
        """Look for everything; leave a trial that has a whole run just that one, and all under the search's."""
        found = list(self._find(_OURS))
        extra = [run for runs in _by_number(found).values() if runs[0].whole for run in runs[1:]]
        for run in extra:
            self._client.delete_run(run.run_id)
        if extra:  # another deliverer may have kept the other one just now
            found = list(self._find(_OURS))
        search_run_id = str(self.search_run.info.run_id)
        searches = [str(entry.info.run_id) for entry in found if entry.data.tags[ROLE_TAG] == "search"]
        if searches != [search_run_id]:
            raise StoreError(f"run {search_run_id} was deleted, or made twice, while results were brought: try again")
        for entry in found:  # who made them may have had another search's run
            if str(entry.info.run_id) != search_run_id and entry.data.tags.get(PARENT_TAG) != search_run_id:
                self._client.set_tag(entry.info.run_id, PARENT_TAG, search_run_id)
                if SEARCH_RUN_TAG in entry.data.tags:
                    self._client.set_tag(entry.info.run_id, SEARCH_RUN_TAG, search_run_id)
        return _by_number(found)

    def _runs(self) -> dict[int, list[TrialRun]]:
        if self._known is None:
            self._known = self._settle()
        return self._known

    def _find(self, wanted: str) -> Iterator[Run]:
        token = None
        while True:
            page = self._client.search_runs([self._experiment_id], wanted, max_results=_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _by_number(found: Iterable[Run]) -> dict[int, list[TrialRun]]:
    """Runs of trials, the one to keep first. One whose number was removed by hand is nobody's."""
    runs: dict[int, list[TrialRun]] = {}
    for run in found:
        tags, info = run.data.tags, run.info
        if tags.get(ROLE_TAG) == "trial" and re.fullmatch("[0-9]{1,9}", tags.get(TRIAL_TAG, "")):
            times = (int(info.start_time), int(info.end_time or 0))
            place = (str(info.run_id), str(info.artifact_uri))
            trial = TrialRun(int(tags[TRIAL_TAG]), *place, *times, info.status in ENDED)
            runs.setdefault(trial.number, []).append(trial)
    return {number: sorted(some, key=lambda run: (not run.whole, run.run_id)) for number, some in runs.items()}
