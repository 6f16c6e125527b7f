"""The queue of runs: which worker writes which run, when another one is started, and what a killed one leaves."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from insects.errors import InsectsError
from search.system.lock import LockHeldError
from search.tracking.trial_runs import RunIds
from search.upload import runs_worker
from search.upload.run_queue import RunQueue
from search.upload.runs_worker import RunsWorker
from search.upload.uploader import upload_workers
from tests.support.commands import contents, own
from tests.support.registered_studies import study_of

KILLED = InsectsError("a process that uploads results was ended by SIGKILL")


class Worker:
    """Stands in for a worker process whose calls the test ends.

    Attributes:
        runs: The runs that it was told to write.
        has_ended: Whether every call fails at once.
    """

    def __init__(self) -> None:
        self.runs: list[tuple[int, int]] = []
        self.has_ended = False
        self._calls: list[Future[Any]] = []

    def submit(self, method: Callable[..., Any], *run: int) -> Future[Any]:
        assert method is RunsWorker.log_run
        self.runs.append((run[0], run[1]))
        call = Future[Any]()
        self._calls.append(call)
        if self.has_ended:
            call.set_exception(KILLED)
        return call

    def answer(self) -> None:
        number, folds = self.runs[-1]
        self._calls.pop().set_result(RunIds("experiment", "search", f"{number}-{folds}"))

    def die(self) -> None:
        self.has_ended = True
        self._calls.pop().set_exception(KILLED)

    def kill(self) -> None:
        self.has_ended = True

    def close(self) -> None:
        assert self.has_ended


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test sets; the machine has four cores."""
    now = [0.0]
    monkeypatch.setattr("search.upload.run_queue.time.monotonic", lambda: now[0])
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    return now


def no_check() -> None:
    """No signal came."""


def queue_of(first: Worker, helpers: Sequence[Any]) -> RunQueue:
    """Return a queue to which the helpers are started in turn."""
    left = iter(helpers)
    return RunQueue(first, lambda: next(left, None))  # type: ignore[arg-type] # by its methods


def helpers_of(queue: RunQueue) -> list[Any]:
    """Return the stand-ins that were started."""
    return [*queue.helpers]


def test_one_worker_writes_runs_in_the_order_in_which_they_were_added(now: list[float]) -> None:
    worker = Worker()
    queue = queue_of(worker, [])
    written = [queue.add(number, 0) for number in range(3)]
    last = queue.add(1, 5)
    assert (worker.runs, queue.left) == ([(0, 0)], 4)
    for _ in range(4):
        worker.answer()
    assert worker.runs == [(0, 0), (1, 0), (2, 0), (1, 5)]
    expected = [RunIds("experiment", "search", model) for model in ("0-0", "1-0", "2-0", "1-5")]
    assert [ids.result() for ids in [*written, last]] == expected
    assert queue.left == 0
    queue.wait(no_check)


def test_a_run_is_put_before_those_that_wait(now: list[float]) -> None:
    worker = Worker()
    queue = queue_of(worker, [])
    futures = [queue.add(number, 0) for number in range(4)]
    assert queue.first(3, 0) is futures[3]
    assert queue.first(0, 0) is futures[0]  # it is being written
    assert queue.first(4, 0) is None
    for _ in range(4):
        worker.answer()
    assert worker.runs == [(0, 0), (3, 0), (1, 0), (2, 0)]


def test_time_of_what_is_left_is_that_of_the_calls_after_a_workers_first(now: list[float]) -> None:
    worker = Worker()
    queue = queue_of(worker, [])
    for number in range(5):
        queue.add(number, 0)
    for ended, left in ((20.0, 0.0), (22.0, 6.0), (26.0, 6.0)):  # the first waits for libraries; then 2 and 4 s
        now[0] = ended
        worker.answer()
        assert queue.seconds_left == left


def test_another_worker_is_started_when_what_waits_takes_long(now: list[float]) -> None:
    first, helpers = Worker(), [Worker() for _ in range(5)]
    queue = queue_of(first, helpers)
    for number in range(40):
        queue.add(number, 0)
    for now[0] in (5.0, 5.5):
        first.answer()
    assert (helpers_of(queue), queue.seconds_left) == ([], 19.0)
    now[0] = 7.5  # 2 s: 1.25 s in the mean
    first.answer()
    assert helpers_of(queue) == helpers[:2]  # 37 runs: 46 s for one, 23 s for two, 15 s for three
    assert [worker.runs[-1] for worker in (first, *helpers[:2])] == [(3, 0), (4, 0), (5, 0)]
    now[0] = 8.0
    for worker in (first, *helpers[:2]):
        worker.answer()
    assert helpers_of(queue) == helpers[:2]
    assert sorted(first.runs + helpers[0].runs + helpers[1].runs) == [(number, 0) for number in range(9)]


@pytest.mark.parametrize(("cores", "most"), [(1, 0), (2, 1), (16, 3)])
def test_workers_are_at_most_the_cores_and_four(
    now: list[float], cores: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    first = Worker()
    queue = queue_of(first, [Worker() for _ in range(10)])
    for number in range(1000):
        queue.add(number, 0)
    for now[0] in (5.0, 6.0):
        first.answer()
    assert len(queue.helpers) == most


def test_search_goes_on_where_no_other_worker_can_be_started(now: list[float]) -> None:
    first = Worker()
    queue = queue_of(first, [])
    for number in range(30):
        queue.add(number, 0)
    for now[0] in range(5, 35):
        first.answer()
    assert (len(first.runs), queue.left) == (30, 0)


def test_killed_helper_gets_no_other_run_and_no_successor(now: list[float]) -> None:
    first, helpers = Worker(), [Worker(), Worker()]
    queue = queue_of(first, helpers)
    futures = [queue.add(number, 0) for number in range(30)]
    for now[0] in (5.0, 6.0):
        first.answer()
    assert helpers_of(queue) == helpers[:1]
    helpers[0].die()
    while queue.left:
        first.answer()
    assert len(helpers[0].runs) == 1
    failed = [number for number, written in enumerate(futures) if written.exception() is KILLED]
    assert [(number, 0) for number in failed] == helpers[0].runs
    assert len(first.runs) == 29


def test_every_run_fails_if_the_only_worker_was_killed(now: list[float]) -> None:
    worker = Worker()
    queue = queue_of(worker, [])
    futures = [queue.add(number, 0) for number in range(2000)]
    worker.die()
    queue.wait(no_check)
    assert [written.exception() for written in futures] == [KILLED] * 2000


def test_cancel_drops_what_no_worker_has_begun(now: list[float]) -> None:
    worker = Worker()
    queue = queue_of(worker, [])
    futures = [queue.add(number, 0) for number in range(3)]
    queue.cancel()
    worker.answer()
    queue.wait(no_check)
    assert worker.runs == [(0, 0)]
    assert [written.result() is None for written in futures] == [False, True, True]


def test_ended_helpers_get_no_other_run(now: list[float]) -> None:
    first, helper = Worker(), Worker()
    queue = queue_of(first, [helper])
    for number in range(30):
        queue.add(number, 0)
    for now[0] in (5.0, 6.0):
        first.answer()
    helper.answer()
    queue.cancel()
    first.answer()
    helper.answer()
    assert queue.end_helpers()
    assert helper.has_ended
    assert not queue.end_helpers()
    queue.add(30, 0)
    queue.add(31, 0)
    assert (first.runs[-1], queue.left) == ((30, 0), 2)


def test_helper_writes_beside_the_first_worker_and_is_waited_for_when_it_outlives_the_search(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = study_of(store, "s", seed=0)
    first = folder.load(0)
    assert first is not None
    folder.save(dataclasses.replace(first, number=1))
    monkeypatch.setattr(runs_worker, "LOCK_SECONDS", 0.0)
    with upload_workers(own(store)) as workers:
        workers.runs.submit(RunsWorker.open, "s").result()
        ids = workers.runs.submit(RunsWorker.log_run, 0, 0).result()
        helper = workers.start_helper(folder)
        assert helper is not None
        helped = helper.submit(RunsWorker.log_run, 1, 0).result()
        assert ids is not None
        assert helped is not None
        assert (helped.experiment, helped.search) == (ids.experiment, ids.search)
        assert list(contents(store, "s")["runs"]) == ["search s", "trial-0000", "trial-0001"]
        assert min(helper.submit(RunsWorker.seconds).result().values()) > 0
        workers.runs.submit(RunsWorker.forget).result()
        assert workers.runs.submit(RunsWorker.missing).result() == []
        workers.runs.kill()  # as if the search had been killed, and its helper were still writing
        workers.runs.close()
        later = RunsWorker(str(store), own(store).tracking_uri)
        with pytest.raises(LockHeldError, match=r"upload-helpers\.lock is held by process"):
            later.open("s")
        helper.kill()
        helper.close()
        later.open("s")
        later.close()
