"""The study's loop: results are told in order, and do not depend on the number of workers."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from insects import tasks
from insects.errors import StoreError, StudyError
from insects.splits import Splits
from insects.tasks import StudyRows
from insects.training import Progress
from insects.trial import TrialResult, TrialTask
from search.store.study_folder import StudyFolder
from search.study.config import study_digest
from search.study.journal import OptunaJournal
from search.study.loop import StudyLoop
from search.study.sampler import STARTUP_TRIALS, Proposer, SamplerName
from search.study.workers import MemoryFit
from search.system.signals import StopFlag
from search.workers.threads import ThreadWorkers
from tests.support.reference_study import CONFIG, TRIALS, Reference, assert_equals_reference, folder_of
from tests.support.studies import (
    DIVERGING,
    PARAMS,
    UNTRAINABLE,
    a_config,
    a_failure,
    a_result,
    begun_folder,
    builtin_splits,
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


def test_trial_is_on_the_disk_before_a_listener_hears_of_it(tmp_path: Path) -> None:
    folder, heard = folder_of(tmp_path), []

    def on_result(result: TrialResult) -> None:
        stored = folder.load(result.number)
        assert stored is not None
        assert study_digest([stored]) == study_digest([result])
        heard.append(result.number)

    run_study(tmp_path, a_config(), 6, on_result=on_result)
    assert sorted(heard) == list(range(6))


class Recorder:
    """Writes down what it hears, in a list that several share."""

    def __init__(self, name: str, heard: list[tuple[str, str, int]]) -> None:
        self._name, self._heard = name, heard

    def trained(self, result: TrialResult) -> None:
        self._heard.append((self._name, "trained", result.number))

    def known(self, result: TrialResult) -> None:
        self._heard.append((self._name, "known", result.number))


def test_each_listener_hears_in_turn_of_trials_that_are_trained_now_and_of_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "run_trial", failing(lambda number: False))
    config, folder = a_config(window=1), begun_folder(tmp_path, a_config(window=1))
    folder.save(a_result(1))
    heard: list[tuple[str, str, int]] = []
    stop, splits = StopFlag(), builtin_splits()[0]
    with closing(ThreadWorkers(1, stop)) as workers:
        workers.open(StudyRows(splits), MemoryFit(config, splits), folder.path)
        StudyLoop(
            config=config,
            folder=folder,
            journal=OptunaJournal(tmp_path / "optuna.journal", "s", "ab", 1, config.space),
            proposer=Proposer(config.space, config.sampler, config.seed),
            workers=workers,
            stop=stop,
            listeners=[Recorder("one", heard), Recorder("other", heard)],
        ).run(3)
    assert heard == [
        (name, how, number) for number, how in enumerate(["trained", "known", "trained"]) for name in ("one", "other")
    ]


def test_listener_hears_of_a_known_trial_with_its_weights(copied: Path) -> None:
    sizes: dict[int, int] = {}
    run_study(copied, CONFIG, 1, on_known=lambda result: sizes.update({result.number: result.weights.size}))
    assert sizes == {0: 3 * 8 + 9 * 5}


def test_diverged_trial_is_complete_with_its_reason(reference: Reference) -> None:
    diverged = reference[1][1]
    assert diverged.state == "complete"
    assert diverged.reason == f"diverged: the loss was not finite in epoch {diverged.epochs}"
    assert not np.isfinite(diverged.history[-1]).all()


def test_failing_trial_keeps_its_traceback_and_the_search_goes_on(reference: Reference) -> None:
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


def test_sampler_knows_all_trials_but_the_last_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[int, list[int]] = {}
    ask = Proposer.ask

    def spied(proposer: Proposer, number: int) -> object:
        told[number] = [result.number for result in proposer.told]
        return ask(proposer, number)

    def shuffled(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8], progress: Progress) -> TrialResult:
        time.sleep(random.Random(task.number).random() / 50)  # noqa: S311 - only the order of ending
        return a_result(task.number, task.params, [loss_of(task.params)])

    monkeypatch.setattr(Proposer, "ask", spied)
    monkeypatch.setattr(tasks, "run_trial", shuffled)
    run_study(tmp_path, a_config(window=5), 20, workers=4)
    assert all(told[number] == list(range(number - 4)) for number in range(14, 20))
    # Before it knows ten trials, the sampler proposes whatever they give.
    assert all(told[number] == list(range(len(told[number]))) for number in range(14))
    assert all(len(told[number]) <= max(0, number - 4) for number in range(14))


def test_at_most_the_window_is_in_flight_once_proposals_follow_from_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, lock, barrier = 0, 0, threading.Lock(), threading.Barrier(3, timeout=30)

    def counted(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8], progress: Progress) -> TrialResult:
        nonlocal running, most
        if task.number < STARTUP_TRIALS + 2:
            return a_result(task.number, task.params)
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait()  # passes if three are in flight together
        with lock:
            running -= 1
        return a_result(task.number, task.params)

    monkeypatch.setattr(tasks, "run_trial", counted)
    run_study(tmp_path, a_config(window=3), STARTUP_TRIALS + 2 + 12, workers=8)
    assert most == 3


INDEPENDENT = {
    "random": (a_config(sampler="random", window=1), 16),
    "qmc": (a_config(sampler="qmc", window=1), 16),
    "start-up of tpe": (a_config(window=1), STARTUP_TRIALS),
    "start-up of gp": (a_config(sampler="gp", window=1), STARTUP_TRIALS),
    "configs": (a_config(configs=[PARAMS] * 12, window=1), 12),
    "configs before a pruner": (a_config(configs=[PARAMS] * 12, window=1, percentile=50.0), 5),
    "random before a pruner": (a_config(sampler="random", window=1, percentile=50.0), 5),
}


@pytest.mark.parametrize("kind", INDEPENDENT)
def test_trials_that_depend_on_no_result_are_all_in_flight(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, count = INDEPENDENT[kind]
    running, most, lock = 0, 0, threading.Lock()
    together = threading.Barrier(count, timeout=30)

    def counted(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8], progress: Progress) -> TrialResult:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if task.number < count:
            together.wait()
        with lock:
            running -= 1
        return a_result(task.number, task.params)

    monkeypatch.setattr(tasks, "run_trial", counted)
    run_study(tmp_path, config, 16, workers=16)
    assert most == count


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_number_of_workers_changes_no_proposal(
    sampler: SamplerName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def quick(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8], progress: Progress) -> TrialResult:
        return a_result(task.number, task.params, [loss_of(task.params)])

    monkeypatch.setattr(tasks, "run_trial", quick)
    config = a_config(sampler=sampler, window=2, percentile=None if sampler == "tpe" else 50.0)
    one, many = (run_study(tmp_path / str(count), config, 30, workers=count) for count in (1, 16))
    assert [result.params for result in one] == [result.params for result in many]


# With a pruner, trials after the fifth wait for those before.
ONE_BY_ONE = a_config(window=1, percentile=50.0)


def failing(fails: Callable[[int], bool]) -> Callable[..., TrialResult]:
    def train(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8], progress: Progress) -> TrialResult:
        return a_failure(task.number, task.params) if fails(task.number) else a_result(task.number, task.params)

    return train


def test_ten_failures_in_a_row_stop_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "run_trial", failing(lambda number: number >= 3))
    message = r"10 trials in a row failed, the last \(trial 12\) with: RuntimeError: boom"
    with pytest.raises(StudyError, match=message):
        run_study(tmp_path, a_config(), 40)
    assert [trial["state"] for trial in optuna_trials(tmp_path / "optuna.journal")] == ["COMPLETE"] * 3 + ["FAIL"] * 10


def test_nine_failures_in_a_row_do_not_stop_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "run_trial", failing(lambda number: number % 10 != 9))
    assert len(run_study(tmp_path, a_config(), 30)) == 30


def test_stopped_search_goes_on_with_the_trials_left_when_it_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "run_trial", failing(lambda number: number < 25))
    for last in (9, 19):
        with pytest.raises(StudyError) as error:
            run_study(tmp_path, ONE_BY_ONE, 40)
        assert str(error.value) == (
            f"10 trials in a row failed, the last (trial {last}) with: RuntimeError: boom; mend the cause (the "
            "tracebacks are in MLflow), then run the same command again: it goes on with the trials that are left of "
            "--trials"
        )
        assert folder_of(tmp_path).numbers() == list(range(last + 1))
    assert [r.state for r in run_study(tmp_path, ONE_BY_ONE, 40)] == ["failed"] * 25 + ["complete"] * 15


def test_failures_of_an_earlier_run_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "run_trial", failing(lambda number: True))
    assert len(run_study(tmp_path, ONE_BY_ONE, 6)) == 6
    with pytest.raises(StudyError, match=r"^10 trials in a row failed, the last \(trial 15\)"):
        run_study(tmp_path, ONE_BY_ONE, 40)


def test_trials_of_an_earlier_run_between_failures_end_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun_folder(tmp_path, ONE_BY_ONE).save(a_failure(5))
    monkeypatch.setattr(tasks, "run_trial", failing(lambda number: True))
    with pytest.raises(StudyError, match=r"^10 trials in a row failed, the last \(trial 15\)"):
        run_study(tmp_path, ONE_BY_ONE, 40)


def test_full_disk_is_reported_once_and_what_fits_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = StudyFolder.save

    def full(folder: StudyFolder, *results: TrialResult) -> None:
        for result in results:
            if result.number % 2:
                raise StoreError(f"no room for trial {result.number}")
        save(folder, *results)

    trained = threading.Barrier(4, timeout=30)

    def together(task: TrialTask, splits: Splits, interrupt: NDArray[np.uint8], progress: Progress) -> TrialResult:
        trained.wait()
        time.sleep(0.01 * (4 - task.number))
        return a_result(task.number, task.params)

    monkeypatch.setattr(StudyFolder, "save", full)
    monkeypatch.setattr(tasks, "run_trial", together)
    with pytest.raises(StoreError, match=r"no room for trial [13]"):
        run_study(tmp_path, a_config(), 4, workers=4)
    assert folder_of(tmp_path).numbers() == [0, 2]


def test_journal_of_a_study_whose_results_were_deleted_is_written_anew(copied: Path, reference: Reference) -> None:
    shutil.rmtree(copied / "trials")
    results = run_study(copied, CONFIG, 3)
    assert same(results, reference[1][:3])
    assert [trial["number"] for trial in optuna_trials(copied / "optuna.journal")] == [0, 1, 2]


def test_bug_outside_training_is_raised_and_trials_that_had_ended_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: OptunaJournal, result: TrialResult) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(OptunaJournal, "add", broken)
    with pytest.raises(ZeroDivisionError):
        run_study(tmp_path, CONFIG, TRIALS)
    assert 0 in folder_of(tmp_path).numbers()


def test_results_in_memory_do_not_hold_weights(reference: Reference) -> None:
    assert all(result.weights.size == 0 for result in reference[1])
    kept = folder_of(reference[0]).load(0)
    assert kept is not None
    assert kept.weights.size == 3 * 8 + 9 * 5


def test_another_seed_gives_other_results(tmp_path: Path, reference: Reference) -> None:
    assert not same(run_study(tmp_path, replace(CONFIG, seed=1), TRIALS), reference[1])


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
        cwd=Path(__file__).parents[3],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"{study_digest(reference[1])}\n", done.stderr
