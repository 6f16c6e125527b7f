"""The study's loop: told in order, equal for any number of workers, however often it is interrupted."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from insects.errors import StoreError, StudyError
from insects.splits import Splits
from insects.trial import TrialResult, TrialTask
from search.store.study_folder import StudyFolder
from search.study import loop
from search.study.config import StudyConfig, study_digest
from search.study.journal import OptunaJournal
from search.study.sampler import Proposer
from tests.support.reference_study import CONFIG, TRIALS, Reference, assert_equals_reference, folder_of
from tests.support.studies import (
    DIVERGING,
    PARAMS,
    UNTRAINABLE,
    a_config,
    a_failure,
    a_result,
    begun_folder,
    loss_of,
    optuna_trials,
    run_study,
    same,
)


def test_reference_holds_every_kind_of_end(reference: Reference) -> None:
    results = reference[1]
    assert [result.number for result in results] == list(range(TRIALS))
    assert {result.state for result in results} == {"complete", "pruned", "failed"}
    assert [result.params for result in results[:4]] == [PARAMS, DIVERGING, UNTRAINABLE, PARAMS]
    assert not np.array_equal(results[0].history, results[3].history)  # equal settings, but a trial of its own


def test_trial_is_on_disk_before_anyone_is_told_of_it(tmp_path: Path) -> None:
    folder, told = folder_of(tmp_path), []

    def on_result(result: TrialResult) -> None:
        stored = folder.load(result.number)
        assert stored is not None
        assert study_digest([stored]) == study_digest([result])
        told.append(result.number)

    run_study(tmp_path, a_config(), 6, on_result=on_result)
    assert sorted(told) == list(range(6))


def test_diverged_trial_is_complete_with_its_reason(reference: Reference) -> None:
    diverged = reference[1][1]
    assert diverged.state == "complete"
    assert diverged.reason == f"diverged: the loss was not finite in epoch {diverged.epochs}"
    assert not np.isfinite(diverged.history[-1]).all()


def test_failing_trial_keeps_its_traceback_and_the_search_goes_on(
    reference: Reference,
) -> None:
    failed = reference[1][2]
    assert failed.state == "failed"
    assert failed.reason.startswith("Traceback (most recent call last):")
    assert "Unable to allocate" in failed.reason or "Maximum allowed" in failed.reason
    assert reference[1][3].state == "complete"


def test_optuna_holds_what_the_results_say(reference: Reference) -> None:
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
def test_study_does_not_depend_on_the_number_of_workers(workers: int, tmp_path: Path, reference: Reference) -> None:
    assert_equals_reference(tmp_path, run_study(tmp_path, CONFIG, TRIALS, workers=workers), reference)


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
    monkeypatch.setattr(loop, "run_trial", shuffled)
    run_study(tmp_path, a_config(window=5), 20, workers=4)
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

    monkeypatch.setattr(loop, "run_trial", counted)
    run_study(tmp_path, a_config(window=3), 12, workers=8)
    assert most == 3


def failing(fails: Callable[[int], bool]) -> Callable[..., TrialResult]:
    def train(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8]) -> TrialResult:
        return a_failure(task.number, task.params) if fails(task.number) else a_result(task.number, task.params)

    return train


def test_ten_failures_in_a_row_stop_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "run_trial", failing(lambda number: number >= 3))
    message = r"10 trials in a row failed, the last \(trial 12\) with: RuntimeError: boom"
    with pytest.raises(StudyError, match=message):
        run_study(tmp_path, a_config(), 40)
    assert [trial["state"] for trial in optuna_trials(tmp_path / "optuna.journal")] == ["COMPLETE"] * 3 + ["FAIL"] * 10


def test_stopped_search_goes_on_when_it_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "run_trial", failing(lambda number: number < 25))
    for last in (9, 19):
        message = rf"{last + 1} trials in a row failed, the last \(trial {last}\) with: RuntimeError: boom; .*again"
        with pytest.raises(StudyError, match=message):
            run_study(tmp_path, a_config(), 40, workers=1)
    assert [r.state for r in run_study(tmp_path, a_config(), 40)] == ["failed"] * 25 + ["complete"] * 15


def test_interrupted_search_stops_at_the_same_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "run_trial", failing(lambda number: True))
    assert len(run_study(tmp_path, a_config(), 6)) == 6
    with pytest.raises(StudyError, match=r"10 trials in a row failed, the last \(trial 9\)"):
        run_study(tmp_path, a_config(), 40)


def test_killed_search_stops_at_the_same_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(result: TrialResult) -> None:
        if result.number == 12:  # of 16 in flight: the tenth failure is on disk, and not yet told
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "run_trial", failing(lambda number: True))
    with pytest.raises(KeyboardInterrupt):
        run_study(tmp_path, a_config(window=16), 40, workers=1, on_result=killed)
    assert 9 in folder_of(tmp_path).numbers()
    with pytest.raises(StudyError, match=r"10 trials in a row failed, the last \(trial 9\)"):
        run_study(tmp_path, a_config(window=16), 40)


def test_disk_that_is_full_is_told_once_and_what_fits_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = StudyFolder.save

    def full(folder: StudyFolder, result: TrialResult) -> None:
        if result.number % 2:
            raise StoreError(f"no room for trial {result.number}")
        save(folder, result)

    trained = threading.Barrier(4, timeout=30)

    def together(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8]) -> TrialResult:
        trained.wait()
        time.sleep(0.01 * (4 - task.number))
        return a_result(task.number, task.params)

    monkeypatch.setattr(StudyFolder, "save", full)
    monkeypatch.setattr(loop, "run_trial", together)
    with pytest.raises(StoreError, match=r"no room for trial [13]"):
        run_study(tmp_path, a_config(), 4, workers=4)
    assert folder_of(tmp_path).numbers() == [0, 2]


def test_results_that_were_deleted_do_not_come_back_for_the_journals_sake(copied: Path) -> None:
    """The journal still tells all trials of the study."""
    shutil.rmtree(copied / "trials")
    begun_folder(copied, CONFIG)
    assert len(run_study(copied, CONFIG, 3)) == 3


def test_nine_failures_in_a_row_do_not_stop_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "run_trial", failing(lambda number: number % 10 != 9))
    assert len(run_study(tmp_path, a_config(), 30)) == 30


def test_bug_outside_training_is_raised_and_what_had_ended_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: OptunaJournal, result: TrialResult) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(OptunaJournal, "tell", broken)
    with pytest.raises(ZeroDivisionError):
        run_study(tmp_path, CONFIG, TRIALS)
    assert 0 in folder_of(tmp_path).numbers()


def test_results_in_memory_do_not_hold_weights(reference: Reference) -> None:
    assert all(result.weights.size == 0 for result in reference[1])
    kept = folder_of(reference[0]).load(0)
    assert kept is not None
    assert kept.weights.size == 3 * 8 + 9 * 5


def test_other_plan_gives_other_results(tmp_path: Path, reference: Reference) -> None:
    plan = StudyConfig(**{**vars(CONFIG), "seed": 1})
    assert not same(run_study(tmp_path, plan, TRIALS), reference[1])


DIGEST_SCRIPT = """
import sys
from pathlib import Path
from search.study.config import study_digest
from tests.support.studies import run_study
from tests.support.reference_study import CONFIG, TRIALS
print(study_digest(run_study(Path(sys.argv[1]), CONFIG, TRIALS)))
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_study_does_not_depend_on_the_threads_of_the_blas(threads: str, tmp_path: Path, reference: Reference) -> None:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads}
    done = subprocess.run(
        [sys.executable, "-c", DIGEST_SCRIPT, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{study_digest(reference[1])}\n", done.stderr
