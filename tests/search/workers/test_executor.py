"""Training by any executor: the bits of threads, an interrupt that reaches its processes, and errors of one line."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from insects import remote
from insects.errors import StudyError
from insects.params import Recipe, TrialParams
from insects.tasks import StudyRows
from insects.trial import TrialResult
from search.system.signals import Interrupted, StopFlag
from search.workers.executor import ExecutorWorkers
from tests.search.workers import executors
from tests.support.reference_study import folder_of
from tests.support.remote_studies import CONFIG, REQUEST, train
from tests.support.studies import begun_folder, builtin_data

NAME = executors.__name__
DIVERGING = TrialParams(1, 8, 1e30, 32)
ENDLESS = replace(CONFIG, recipe=Recipe(epochs=1_000_000), configs=(DIVERGING, *[TrialParams(2, 16, 0.01, 16)] * 4))


def when_the_first_has_ended(stop: StopFlag) -> Callable[[TrialResult], None]:
    return lambda result: stop.set(signal.SIGINT)


def test_study_of_an_executor_with_nothing_but_submit_and_shutdown_equals_that_of_threads(
    tmp_path: Path, digest: str
) -> None:
    assert train(tmp_path, ExecutorWorkers(f"{NAME}:bare", REQUEST)) == digest
    assert list(folder_of(tmp_path).path.glob("rows*")) == []


@pytest.mark.slow
def test_study_of_a_process_pool_equals_that_of_threads(tmp_path: Path, digest: str) -> None:
    assert train(tmp_path, ExecutorWorkers(f"{NAME}:processes", REQUEST)) == digest


@pytest.mark.slow
def test_interrupt_ends_training_in_the_processes_and_the_study_goes_on(tmp_path: Path) -> None:
    stop = StopFlag()
    workers = ExecutorWorkers(f"{NAME}:processes", REQUEST)
    with pytest.raises(Interrupted):
        train(tmp_path, workers, config=ENDLESS, stop=stop, on_result=when_the_first_has_ended(stop))
    assert folder_of(tmp_path).numbers() == [0]
    workers._executor.shutdown()  # returns when the processes have ended, which was minutes of training away


@pytest.mark.slow
def test_process_that_is_killed_is_one_line_and_finished_trials_are_kept(tmp_path: Path, digest: str) -> None:
    workers = ExecutorWorkers(f"{NAME}:processes", REQUEST)
    executor: Any = workers._executor

    def kill(result: TrialResult) -> None:
        for process in list(executor._processes.values()):
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(StudyError) as error:
        train(tmp_path, workers, on_result=kill)
    assert str(error.value).startswith(f"the executor of {NAME}:processes failed with BrokenProcessPool: ")
    assert "\n" not in str(error.value)
    assert folder_of(tmp_path).numbers() != []
    assert train(tmp_path, ExecutorWorkers(f"{NAME}:bare", REQUEST)) == digest


def test_process_with_a_wrong_canary_trains_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = begun_folder(tmp_path, CONFIG)
    (folder.path / "canary").write_text("ab" * 32)
    reason = "its canary trial gives other bits than the study's"
    with pytest.raises(StudyError, match=f"^{NAME}:bare has no process for this study: {reason}$"):
        train(tmp_path, ExecutorWorkers(f"{NAME}:bare", REQUEST))
    assert capsys.readouterr().err == f"A process of the executor is left out: {reason}\n"
    assert folder.numbers() == []


def test_process_that_trains_wrongly_once_is_asked_again(
    tmp_path: Path, digest: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    admit, refusals, lock = remote.admit, list[bool](), threading.Lock()

    def some(admission: remote.Admission) -> object:
        with lock:
            refusals.append(len(refusals) < 3)
            is_refused = refusals[-1]
        if is_refused:
            raise remote.NotAdmittedError("its numpy is 0.0.1, the study's 2.0")
        return admit(admission)

    monkeypatch.setattr(remote, "admit", some)
    assert train(tmp_path, ExecutorWorkers(f"{NAME}:bare", REQUEST)) == digest
    assert sum(refusals) == 3
    said = "A process of the executor is left out: its numpy is 0.0.1, the study's 2.0\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("absent:make", "absent:make gives no executor: ModuleNotFoundError: No module named 'absent'; name a"),
        (f"{NAME}:absent", f"{NAME}:absent gives no executor: AttributeError: "),
        (f"{NAME}:nothing", f"{NAME}:nothing must give a concurrent.futures.Executor, found int"),
    ],
)
def test_function_that_gives_no_executor_is_one_line(source: str, message: str) -> None:
    with pytest.raises(StudyError) as error:
        ExecutorWorkers(source, REQUEST)
    assert str(error.value).startswith(message)
    assert error.value.parameter == "executor"


def test_rows_of_a_killed_search_are_replaced(tmp_path: Path) -> None:
    folder = begun_folder(tmp_path, CONFIG)
    left = folder.path / "rows-0123abcd"
    left.mkdir()
    (left / "wanted").touch()
    with closing(ExecutorWorkers(f"{NAME}:bare", REQUEST)) as workers:
        workers.open(StudyRows(builtin_data().splits), lambda free, wanted: wanted, folder.path)
        (rows,) = folder.path.glob("rows-*")
        assert rows != left
        assert (rows / "wanted").exists()
    assert list(folder.path.glob("rows*")) == []
