"""An interrupted study goes on as if it had never stopped."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from insects import tasks
from insects.errors import StoreError
from insects.splits import Splits
from insects.training import Progress, TrainingInterrupted
from insects.trial import TrialResult, TrialTask
from search.store.study_folder import StudyFolder
from search.study import loop
from search.system.signals import Interrupted, StopFlag, handled_signals
from tests.support.reference_study import CONFIG, TRIALS, Reference, assert_equals_reference, folder_of
from tests.support.studies import a_config, a_failure, run_study, same


@pytest.mark.parametrize("number", [0, 1, 5])
def test_interrupted_study_ends_equal_to_an_uninterrupted_one(
    number: int, tmp_path: Path, reference: Reference
) -> None:
    flag = StopFlag()

    def interrupt(result: TrialResult) -> None:
        if result.number >= number:
            flag.set(signal.SIGINT)

    with pytest.raises(Interrupted):
        run_study(tmp_path, CONFIG, TRIALS, stop=flag, on_result=interrupt)
    kept = folder_of(tmp_path).numbers()
    assert len(kept) >= 1
    known: list[int] = []
    results = run_study(tmp_path, CONFIG, TRIALS, on_known=lambda result: known.append(result.number))
    assert known == kept
    assert_equals_reference(tmp_path, results, reference)


def test_first_signal_to_a_search_that_failed_and_is_stopping_counts_as_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = StopFlag()
    flag.polled = True
    another_trains, once = threading.Event(), threading.Lock()

    def trained(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8], progress: Progress) -> TrialResult:
        if task.number == 0:
            assert another_trains.wait(60)
            return a_failure(0)
        another_trains.set()
        while not interrupt[0]:
            time.sleep(0.001)
        if once.acquire(blocking=False):  # there may be two that train
            os.kill(os.getpid(), signal.SIGTERM)
        while not flag.signalled:  # still training: the search waits for it
            time.sleep(0.001)
        raise TrainingInterrupted("interrupted")

    def fail(result: TrialResult) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(tasks, "run_trial", trained)
    with (
        handled_signals(flag, lambda: pytest.fail("that was the first signal")),
        pytest.raises(Interrupted, match="SIGTERM"),
    ):
        run_study(tmp_path, CONFIG, TRIALS, stop=flag, on_result=fail)


def test_study_killed_between_two_results_ends_equal_to_an_uninterrupted_one(
    tmp_path: Path, reference: Reference
) -> None:
    class Killed(BaseException):
        pass

    def kill(result: TrialResult) -> None:
        raise Killed

    for _ in range(4):
        with pytest.raises(Killed):
            run_study(tmp_path, CONFIG, TRIALS, on_result=kill)
    assert_equals_reference(tmp_path, run_study(tmp_path, CONFIG, TRIALS), reference)


def test_missing_results_are_trained_again_with_the_same_outcome(copied: Path, reference: Reference) -> None:
    for number in (0, 2, 7, 11):
        folder_of(copied).file(number).unlink()
    trained: list[int] = []
    results = run_study(copied, CONFIG, TRIALS, on_result=lambda result: trained.append(result.number))
    assert sorted(trained) == [0, 2, 7, 11]
    assert_equals_reference(copied, results, reference)


def test_truncated_result_is_trained_again_with_the_same_outcome(copied: Path, reference: Reference) -> None:
    path = folder_of(copied).file(4)
    path.write_bytes(path.read_bytes()[:200])
    assert_equals_reference(copied, run_study(copied, CONFIG, TRIALS), reference)


def test_deleted_journal_is_written_anew_from_the_results(copied: Path, reference: Reference) -> None:
    (copied / "optuna.journal").unlink()
    trained: list[int] = []
    results = run_study(copied, CONFIG, TRIALS, on_result=lambda result: trained.append(result.number))
    assert trained == []
    assert_equals_reference(copied, results, reference)


@pytest.mark.parametrize("cut", [1, 30, 300, 3000])
def test_torn_end_of_the_journal_is_written_again(cut: int, copied: Path, reference: Reference) -> None:
    journal = copied / "optuna.journal"
    journal.write_bytes(journal.read_bytes()[:-cut])
    assert_equals_reference(copied, run_study(copied, CONFIG, TRIALS), reference)


def test_more_trials_keep_the_first_ones(copied: Path, reference: Reference) -> None:
    more = run_study(copied, CONFIG, TRIALS + 3)
    assert same(more[:TRIALS], reference[1])
    assert [result.number for result in more] == list(range(TRIALS + 3))
    assert same(run_study(copied, CONFIG, TRIALS + 3), more)


def test_study_that_is_done_trains_nothing(copied: Path, reference: Reference) -> None:
    journal = (copied / "optuna.journal").read_bytes()
    trained: list[TrialResult] = []
    assert same(run_study(copied, CONFIG, TRIALS, on_result=trained.append), reference[1])
    assert trained == []
    assert (copied / "optuna.journal").read_bytes() == journal


def test_full_disk_stops_the_search_and_the_next_run_completes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Reference
) -> None:
    save = StudyFolder.save

    def full(folder: StudyFolder, *results: TrialResult) -> None:
        if any(result.number == 3 for result in results):
            raise StoreError("cannot write 0003.npz: No space left on device")
        save(folder, *results)

    monkeypatch.setattr(StudyFolder, "save", full)
    with pytest.raises(StoreError, match="No space left"):
        run_study(tmp_path, CONFIG, TRIALS)
    monkeypatch.undo()
    assert_equals_reference(tmp_path, run_study(tmp_path, CONFIG, TRIALS), reference)


def test_deadline_stops_asking_and_the_next_run_goes_on(
    tmp_path: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks), perf_counter=time.perf_counter)
    monkeypatch.setattr(loop, "time", clock)
    some = run_study(tmp_path, CONFIG, TRIALS, deadline=7)
    assert [result.number for result in some] == folder_of(tmp_path).numbers() == list(range(7))
    assert_equals_reference(tmp_path, run_study(tmp_path, CONFIG, TRIALS), reference)


def test_deadline_that_has_passed_still_returns_every_finished_trial(copied: Path, reference: Reference) -> None:
    results = run_study(copied, CONFIG, TRIALS + 5, deadline=time.monotonic() - 1)
    assert_equals_reference(copied, results, reference)


def test_deadline_that_has_passed_still_finishes_what_an_earlier_run_asked(copied: Path, reference: Reference) -> None:
    folder_of(copied).file(TRIALS - 3).unlink()  # it was training when the two after it had ended
    (copied / "optuna.journal").unlink()
    results = run_study(copied, CONFIG, TRIALS + 5, deadline=time.monotonic() - 1)
    assert_equals_reference(copied, results, reference)


@pytest.mark.parametrize(
    ("finished", "asked"),
    [
        ([], 0),
        ([0, 1, 2], 3),
        ([0, 2], 3),
        ([1, 12], 13),  # 13 is the first trial that depends on others
        ([1, 13], 13),
        ([*range(10), 13], 14),
        ([*range(10), 14, 20], 14),
        ([*range(14), 15, 16], 17),
    ],
)
def test_earlier_runs_asked_what_depends_on_nothing_and_else_up_to_a_window_from_the_first_missing_one(
    finished: list[int], asked: int
) -> None:
    assert loop.asked_before(finished, a_config(window=4)) == asked


def test_earlier_runs_may_have_asked_anything_of_a_sampler_that_ignores_results() -> None:
    assert loop.asked_before([1, 40], a_config(sampler="random")) == 41
    assert loop.asked_before([1, 40], a_config(sampler="random", percentile=50.0)) == 8
