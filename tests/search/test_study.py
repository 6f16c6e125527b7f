"""The study's loop: told in order, equal for any number of workers, however often it is interrupted."""

from __future__ import annotations

import itertools
import random
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from insects.errors import StoreError, StudyError
from insects.splits import Splits
from insects.trial import TrialResult, TrialTask
from search import study
from search.interrupts import Interrupted, StopFlag
from search.ledger import Ledger
from search.plan import Plan
from search.results import StudyFolder
from search.sampling import Proposer
from tests.search.studies import (
    DIVERGING,
    PARAMS,
    UNTRAINABLE,
    a_failure,
    a_plan,
    a_result,
    loss_of,
    optuna_trials,
    run_study,
    same,
)

TRIALS = 12
PLAN = a_plan(percentile=50.0, configs=[PARAMS, DIVERGING, UNTRAINABLE, PARAMS])


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[TrialResult]]:
    """A store with an uninterrupted study of one worker, and its results."""
    store = tmp_path_factory.mktemp("reference")
    return store, run_study(store, PLAN, TRIALS, workers=1)


@pytest.fixture
def copied(reference: tuple[Path, list[TrialResult]], tmp_path: Path) -> Path:
    """A copy of the reference's store."""
    return Path(shutil.copytree(reference[0], tmp_path / "store"))


def assert_equals_reference(store: Path, results: list[TrialResult], reference: tuple[Path, list[TrialResult]]) -> None:
    assert same(results, reference[1])
    assert optuna_trials(store / "optuna.journal") == optuna_trials(reference[0] / "optuna.journal")
    assert StudyFolder(store / "trials" / "s").numbers() == list(range(len(results)))


def folder_of(store: Path) -> StudyFolder:
    return StudyFolder(store / "trials" / "s")


def test_reference_holds_every_kind_of_end(reference: tuple[Path, list[TrialResult]]) -> None:
    results = reference[1]
    assert [result.number for result in results] == list(range(TRIALS))
    assert {result.state for result in results} == {"complete", "pruned", "failed"}
    assert [result.params for result in results[:4]] == [PARAMS, DIVERGING, UNTRAINABLE, PARAMS]
    assert not np.array_equal(results[0].history, results[3].history)  # equal settings, but a trial of its own


def test_diverged_trial_is_complete_with_its_reason(reference: tuple[Path, list[TrialResult]]) -> None:
    diverged = reference[1][1]
    assert diverged.state == "complete"
    assert diverged.reason == f"diverged: the loss was not finite in epoch {diverged.epochs}"
    assert not np.isfinite(diverged.history[-1]).all()


def test_failing_trial_keeps_its_traceback_and_the_search_goes_on(
    reference: tuple[Path, list[TrialResult]],
) -> None:
    failed = reference[1][2]
    assert failed.state == "failed"
    assert failed.reason.startswith("Traceback (most recent call last):")
    assert "Unable to allocate" in failed.reason or "Maximum allowed" in failed.reason
    assert reference[1][3].state == "complete"


def test_optuna_holds_what_the_results_say(reference: tuple[Path, list[TrialResult]]) -> None:
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL"}
    for result, trial in zip(reference[1], optuna_trials(reference[0] / "optuna.journal"), strict=True):
        assert trial["number"] == result.number
        assert trial["state"] == states[result.state]
        np.testing.assert_array_equal(list(trial["intermediate"].values()), result.valid_losses)
        expected = {
            "complete": [result.valid_loss],
            "pruned": [result.valid_losses[-1] if result.epochs else None],
            "failed": None,
        }
        assert trial["values"] == expected[result.state]


@pytest.mark.parametrize("workers", [2, 4])
def test_study_does_not_depend_on_the_number_of_workers(
    workers: int, tmp_path: Path, reference: tuple[Path, list[TrialResult]]
) -> None:
    assert_equals_reference(tmp_path, run_study(tmp_path, PLAN, TRIALS, workers=workers), reference)


@pytest.mark.parametrize("number", [0, 1, 5])
def test_interrupted_study_ends_equal_to_an_uninterrupted_one(
    number: int, tmp_path: Path, reference: tuple[Path, list[TrialResult]]
) -> None:
    flag = StopFlag()

    def interrupt(result: TrialResult) -> None:
        if result.number >= number:
            flag.array[0] = 1

    with pytest.raises(Interrupted):
        run_study(tmp_path, PLAN, TRIALS, stop=flag, on_result=interrupt)
    kept = folder_of(tmp_path).numbers()
    assert len(kept) >= 1
    known: list[int] = []
    results = run_study(tmp_path, PLAN, TRIALS, on_known=lambda result: known.append(result.number))
    assert known == kept
    assert_equals_reference(tmp_path, results, reference)


def test_study_killed_between_two_results_ends_equal_to_an_uninterrupted_one(
    tmp_path: Path, reference: tuple[Path, list[TrialResult]]
) -> None:
    class Killed(BaseException):
        pass

    def kill(result: TrialResult) -> None:
        raise Killed

    for _ in range(4):
        with pytest.raises(Killed):
            run_study(tmp_path, PLAN, TRIALS, on_result=kill)
    assert_equals_reference(tmp_path, run_study(tmp_path, PLAN, TRIALS), reference)


def test_missing_results_are_trained_again_to_the_same(
    copied: Path, reference: tuple[Path, list[TrialResult]]
) -> None:
    for number in (0, 2, 7, 11):
        folder_of(copied).file(number).unlink()
    trained: list[int] = []
    results = run_study(copied, PLAN, TRIALS, on_result=lambda result: trained.append(result.number))
    assert sorted(trained) == [0, 2, 7, 11]
    assert_equals_reference(copied, results, reference)


def test_truncated_result_is_trained_again_to_the_same(
    copied: Path, reference: tuple[Path, list[TrialResult]]
) -> None:
    path = folder_of(copied).file(4)
    path.write_bytes(path.read_bytes()[:200])
    assert_equals_reference(copied, run_study(copied, PLAN, TRIALS), reference)


def test_deleted_journal_is_written_anew_from_the_results(
    copied: Path, reference: tuple[Path, list[TrialResult]]
) -> None:
    (copied / "optuna.journal").unlink()
    trained: list[int] = []
    results = run_study(copied, PLAN, TRIALS, on_result=lambda result: trained.append(result.number))
    assert trained == []
    assert_equals_reference(copied, results, reference)


@pytest.mark.parametrize("cut", [1, 30, 300, 3000])
def test_torn_tail_of_the_journal_is_told_again(
    cut: int, copied: Path, reference: tuple[Path, list[TrialResult]]
) -> None:
    journal = copied / "optuna.journal"
    journal.write_bytes(journal.read_bytes()[:-cut])
    assert_equals_reference(copied, run_study(copied, PLAN, TRIALS), reference)


def test_topping_up_keeps_the_first_trials(copied: Path, reference: tuple[Path, list[TrialResult]]) -> None:
    more = run_study(copied, PLAN, TRIALS + 3)
    assert same(more[:TRIALS], reference[1])
    assert [result.number for result in more] == list(range(TRIALS + 3))
    assert same(run_study(copied, PLAN, TRIALS + 3), more)


def test_study_that_is_done_trains_nothing(copied: Path, reference: tuple[Path, list[TrialResult]]) -> None:
    journal = (copied / "optuna.journal").read_bytes()
    trained: list[TrialResult] = []
    assert same(run_study(copied, PLAN, TRIALS, on_result=trained.append), reference[1])
    assert trained == []
    assert (copied / "optuna.journal").read_bytes() == journal


def test_what_is_told_before_each_ask_is_fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, list[int]] = {}
    ask = Proposer.ask

    def spied(proposer: Proposer, number: int) -> object:
        told[number] = [result.number for result in proposer.told]
        return ask(proposer, number)

    def shuffled(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8]) -> TrialResult:
        time.sleep(random.Random(task.number).random() / 50)  # noqa: S311 - only the order of ending
        return a_result(task.number, task.params, [loss_of(task.params)])

    monkeypatch.setattr(Proposer, "ask", spied)
    monkeypatch.setattr(study, "run_trial", shuffled)
    run_study(tmp_path, a_plan(window=5), 20, workers=4)
    assert told == {number: list(range(max(0, number - 4))) for number in range(20)}


def test_at_most_the_window_is_in_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running, most, lock, barrier = 0, 0, threading.Lock(), threading.Barrier(3, timeout=30)

    def counted(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8]) -> TrialResult:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait()  # passes if three are in flight together
        with lock:
            running -= 1
        return a_result(task.number, task.params)

    monkeypatch.setattr(study, "run_trial", counted)
    run_study(tmp_path, a_plan(window=3), 12, workers=8)
    assert most == 3


def failing(fails: Callable[[int], bool]) -> Callable[..., TrialResult]:
    def train(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8]) -> TrialResult:
        return a_failure(task.number, task.params) if fails(task.number) else a_result(task.number, task.params)

    return train


def test_ten_failures_in_a_row_stop_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "run_trial", failing(lambda number: number >= 3))
    message = r"10 trials in a row failed, the last \(trial 12\) with: RuntimeError: boom"
    with pytest.raises(StudyError, match=message):
        run_study(tmp_path, a_plan(), 40)
    assert [trial["state"] for trial in optuna_trials(tmp_path / "optuna.journal")] == ["COMPLETE"] * 3 + ["FAIL"] * 10


def test_nine_failures_in_a_row_do_not_stop_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "run_trial", failing(lambda number: number % 10 != 9))
    assert len(run_study(tmp_path, a_plan(), 30)) == 30


def test_bug_outside_training_is_raised_and_what_had_ended_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Ledger, result: TrialResult) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Ledger, "tell", broken)
    with pytest.raises(ZeroDivisionError):
        run_study(tmp_path, PLAN, TRIALS)
    assert 0 in folder_of(tmp_path).numbers()


def test_full_disk_stops_the_search_and_the_next_run_completes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: tuple[Path, list[TrialResult]]
) -> None:
    save = StudyFolder.save

    def full(folder: StudyFolder, result: TrialResult) -> None:
        if result.number == 3:
            raise StoreError("cannot write 0003.npz: No space left on device")
        save(folder, result)

    monkeypatch.setattr(StudyFolder, "save", full)
    with pytest.raises(StoreError, match="No space left"):
        run_study(tmp_path, PLAN, TRIALS)
    monkeypatch.undo()
    assert_equals_reference(tmp_path, run_study(tmp_path, PLAN, TRIALS), reference)


def test_deadline_stops_asking_and_the_next_run_goes_on(
    tmp_path: Path, reference: tuple[Path, list[TrialResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks), perf_counter=time.perf_counter)
    monkeypatch.setattr(study, "time", clock)
    some = run_study(tmp_path, PLAN, TRIALS, deadline=7)
    assert [result.number for result in some] == folder_of(tmp_path).numbers() == list(range(7))
    assert_equals_reference(tmp_path, run_study(tmp_path, PLAN, TRIALS), reference)


def test_deadline_that_has_passed_still_returns_every_finished_trial(
    copied: Path, reference: tuple[Path, list[TrialResult]]
) -> None:
    results = run_study(copied, PLAN, TRIALS + 5, deadline=time.monotonic() - 1)
    assert_equals_reference(copied, results, reference)


def test_results_in_memory_do_not_hold_weights(reference: tuple[Path, list[TrialResult]]) -> None:
    assert all(result.weights.size == 0 for result in reference[1])
    kept = folder_of(reference[0]).load(0)
    assert kept is not None
    assert kept.weights.size == 3 * 8 + 9 * 5


def test_other_plan_gives_other_results(tmp_path: Path, reference: tuple[Path, list[TrialResult]]) -> None:
    plan = Plan(**{**vars(PLAN), "seed": 1})
    assert not same(run_study(tmp_path, plan, TRIALS), reference[1])
