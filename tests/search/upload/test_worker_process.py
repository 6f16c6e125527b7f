"""A worker object in a process of its own: calls, results, errors, and how the process ends."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tempfile
import types
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from insects.errors import InsectsError, StoreError
from search.upload.runs_worker import RunsWorker
from search.upload.worker_process import WorkerError, WorkerProcess, serve
from tests.search.upload.sample_worker import Named, SampleWorker

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def tests_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process imports the worker's module from here."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)


@pytest.fixture
def process() -> Iterator[WorkerProcess[SampleWorker]]:
    process = WorkerProcess(SampleWorker)
    yield process
    process.kill()
    process.close()


def test_results_come_in_the_order_of_the_calls(process: WorkerProcess[SampleWorker]) -> None:
    futures = [process.submit(SampleWorker.add, number, b=1) for number in range(50)]
    assert [future.result(60) for future in futures] == list(range(1, 51))


def test_results_have_the_types_that_the_methods_declare(process: WorkerProcess[SampleWorker]) -> None:
    assert process.submit(SampleWorker.named, "Ada", last="Lovelace").result(60) == Named("Ada", "Lovelace")
    assert process.submit(SampleWorker.named_if, found=True).result(60) == Named("Ada", "Lovelace")
    assert process.submit(SampleWorker.named_if, found=False).result(60) is None
    nothing: Future[None] = process.submit(SampleWorker.nothing)
    assert nothing.exception(60) is None
    assert process.submit(SampleWorker.threads).result(60) == ["1", "1"]  # also: one thread for its arithmetic


def test_submit_next_goes_before_all_calls_that_have_not_begun(process: WorkerProcess[SampleWorker]) -> None:
    ended: list[str] = []
    futures: dict[str, Future[Any]] = {"first": process.submit(SampleWorker.sleep, 0.2)}
    futures |= {name: process.submit(SampleWorker.add, 1, 1) for name in ("second", "third")}
    futures["next"] = process.submit_next(SampleWorker.named, "Ada", "Lovelace")
    for name, future in futures.items():
        future.add_done_callback(partial(_note, ended, name))
    process.submit(SampleWorker.nothing).result(60)
    assert ended == ["first", "next", "second", "third"]
    assert futures["next"].result(0) == Named("Ada", "Lovelace")


def _note(ended: list[str], name: str, _: Future[Any]) -> None:
    ended.append(name)


def test_submit_next_to_an_idle_worker_begins_at_once(process: WorkerProcess[SampleWorker]) -> None:
    assert process.submit_next(SampleWorker.add, 1, 1).result(60) == 2


def test_arguments_of_the_constructor_are_not_on_the_command_line() -> None:
    uri = "postgresql://me:secret@host/db"
    process = WorkerProcess(SampleWorker, "store", uri)
    assert process.submit(SampleWorker.arguments).result(60) == ["store", uri]
    line = process.submit(SampleWorker.command_line).result(60)
    assert {"tests.search.upload.sample_worker", "SampleWorker"} <= set(line)
    assert not any("secret" in word for word in line)
    process.close()


def test_prints_of_a_library_do_not_get_among_the_answers(process: WorkerProcess[SampleWorker]) -> None:
    assert process.submit(SampleWorker.print_everywhere).result(60) == "printed"
    assert process.submit(SampleWorker.joined, "ä", "\n").result(60) == "ä\n"


def test_expected_error_is_raised_as_one_and_the_process_goes_on(process: WorkerProcess[SampleWorker]) -> None:
    with pytest.raises(InsectsError, match=r"^no room: make some$"):
        process.submit(SampleWorker.refuse).result(60)
    assert process.submit(SampleWorker.add, 1, 1).result(60) == 2


def test_bug_of_a_method_is_raised_with_its_traceback(process: WorkerProcess[SampleWorker]) -> None:
    with pytest.raises(WorkerError) as caught:
        process.submit(SampleWorker.look_up, "unknown").result(60)
    assert str(caught.value).startswith("Traceback (most recent call last):")
    assert "KeyError: 'unknown'" in str(caught.value)
    assert process.submit(SampleWorker.add, 1, 1).result(60) == 2


def test_result_that_json_cannot_hold_is_a_bug_too(process: WorkerProcess[SampleWorker]) -> None:
    with pytest.raises(WorkerError, match="Object of type set is not JSON serializable"):
        process.submit(SampleWorker.a_set).result(60)


def test_end_of_the_process_fails_the_calls_that_wait_and_all_later_ones(process: WorkerProcess[SampleWorker]) -> None:
    waiting: list[Future[Any]] = [process.submit(SampleWorker.exit, ""), process.submit(SampleWorker.add, 1, 1)]
    for future in waiting:
        with pytest.raises(WorkerError, match=r"^the process ended: exit code 7$"):
            future.result(60)
    with pytest.raises(WorkerError, match=r"^the process ended: exit code 7$"):
        process.submit(SampleWorker.add, 1, 1).result(60)


def test_last_words_need_not_be_utf8(process: WorkerProcess[SampleWorker]) -> None:
    with pytest.raises(WorkerError, match=r"^the process ended: m\ufffdde$"):
        process.submit(SampleWorker.exit, "müde").result(60)


def test_killed_process_says_how_it_ended(process: WorkerProcess[SampleWorker]) -> None:
    os.kill(process.submit(SampleWorker.pid).result(60), signal.SIGKILL)
    with pytest.raises(InsectsError, match="a process that uploads results was ended by SIGKILL"):
        process.submit(SampleWorker.add, 1, 1).result(60)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the bug is printed
def test_answer_that_cannot_be_read_fails_all_calls(process: WorkerProcess[SampleWorker]) -> None:
    waiting: list[Future[Any]] = [process.submit(SampleWorker.garble), process.submit(SampleWorker.add, 1, 1)]
    for future in waiting:
        with pytest.raises(InsectsError, match="ended by SIGKILL"):
            future.result(60)


def test_constructor_that_fails_ends_the_process_with_its_traceback() -> None:
    process = WorkerProcess(SampleWorker, "broken")
    with pytest.raises(WorkerError, match=r"^the process ended: Traceback [^$]*ValueError: the constructor failed$"):
        process.submit(SampleWorker.nothing).result(60)
    process.close()


def test_module_that_cannot_be_imported_says_so() -> None:
    elsewhere = types.new_class("Elsewhere", (SampleWorker,))
    elsewhere.__module__ = "no_such_module_here"
    process = WorkerProcess[SampleWorker](elsewhere)
    with pytest.raises(WorkerError, match="No module named 'no_such_module_here'"):
        process.submit(SampleWorker.nothing).result(60)
    process.close()


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_encoding_of_the_terminal_does_not_matter(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}.items():
        monkeypatch.setenv(name, value)
    process = WorkerProcess(SampleWorker)
    assert process.submit(SampleWorker.joined, "甲虫 \udcff", "🐞").result(60) == "甲虫 \udcff🐞"
    process.close()


def test_without_a_folder_for_temporary_files_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(
        StoreError,
        match=r"^temporary files cannot be written \(.*/none.*\): make room, or set TMPDIR to a folder that has some$",
    ):
        WorkerProcess(RunsWorker, "store", "sqlite://")


def test_close_lets_it_finish_its_calls() -> None:
    process = WorkerProcess(SampleWorker)
    futures = [process.submit(SampleWorker.add, number, 0) for number in range(20)]
    process.close()
    assert [future.result(0) for future in futures] == list(range(20))


def test_close_with_a_timeout_ends_it_in_the_middle_of_a_call() -> None:
    process = WorkerProcess(SampleWorker)
    future = process.submit(SampleWorker.sleep, 600)
    process.close(timeout=0.2)
    with pytest.raises(InsectsError, match="was ended by SIGKILL"):
        future.result(0)


def test_ctrl_c_of_the_terminal_does_not_reach_it(process: WorkerProcess[SampleWorker]) -> None:
    pid = process.submit(SampleWorker.pid).result(60)
    assert os.getsid(pid) != os.getsid(0)
    assert {"SIGINT", "SIGTERM"} <= set(process.submit(SampleWorker.ignored_signals).result(60))
    os.kill(pid, signal.SIGINT)
    assert process.submit(SampleWorker.pid).result(60) == pid


def test_serve_answers_line_by_line() -> None:
    requests = io.StringIO('["add", [1], {"b": 2}]\n["named", ["Ada", "Lovelace"], {}]\n["add", ["x"], {}]\n')
    answers = io.StringIO()
    serve(SampleWorker(), requests, answers)
    first, second, third = map(json.loads, answers.getvalue().splitlines())
    assert first == {"result": 3}
    assert second == {"result": {"first": "Ada", "last": "Lovelace"}}
    assert third["expected"] is False
    assert "TypeError" in third["error"]


def test_project_modules_win_over_files_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('a stranger was imported')")
    monkeypatch.chdir(tmp_path)
    process = WorkerProcess(SampleWorker)
    assert process.submit(SampleWorker.add, 1, 2).result(60) == 3
    process.close()
    assert str(tmp_path) not in sys.path
