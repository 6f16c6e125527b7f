"""A second process that works for this one."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from insects.errors import InsectsError, StoreError
from search.upload.worker_process import WorkerError, WorkerProcess, serve

HANDLERS_SOURCE = """
import os, subprocess, sys, time
from insects.errors import StoreError

def noise():
    print("from python")
    os.write(1, b"from C\\n")
    subprocess.run(["echo", "from a child"])
    return "quiet"

def refuse():
    raise StoreError("no room: make some")

def bug():
    return {}["key"]

def unserializable():
    return {1, 2}

HANDLERS = {
    "add": lambda a, b: a + b, "noise": noise, "refuse": refuse, "bug": bug, "unserializable": unserializable,
    "die": lambda: os._exit(7), "pid": os.getpid, "sleep": time.sleep,
    "threads": lambda: [os.environ["OPENBLAS_NUM_THREADS"], os.environ["OMP_NUM_THREADS"]],
}
HANDLERS["sleep"] = lambda seconds: time.sleep(seconds)
HANDLERS["garble"] = lambda: sys._getframe(1).f_locals["answers"].write("no JSON\\n")
HANDLERS["die in Latin-1"] = lambda: (os.write(2, "müde".encode("latin-1")), os._exit(7))
"""


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a module with handlers that the other process can import."""
    (tmp_path / "handlers_for_tests.py").write_text(HANDLERS_SOURCE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return "handlers_for_tests"


@pytest.fixture
def background(handlers: str) -> Iterator[WorkerProcess]:
    background = WorkerProcess(handlers)
    yield background
    background.kill()
    background.close()


def test_answers_come_back_in_order(background: WorkerProcess) -> None:
    futures = [background.call("add", a=number, b=1) for number in range(50)]
    assert [future.result(60) for future in futures] == list(range(1, 51))


def test_call_next_comes_before_all_that_has_not_begun(background: WorkerProcess) -> None:
    ended: list[str] = []
    first = background.call("sleep", seconds=0.2)
    futures = {name: background.call("add", a=1, b=1) for name in ("second", "third")}
    futures["ahead"] = background.call_next("add", a=1, b=1)
    for name, future in {"first": first, **futures}.items():
        future.add_done_callback(partial(_note, ended, name))
    background.call("add", a=1, b=1).result(60)
    assert ended == ["first", "ahead", "second", "third"]


def _note(ended: list[str], name: str, _: Future[Any]) -> None:
    ended.append(name)


def test_what_a_library_prints_does_not_disturb_the_answers(background: WorkerProcess) -> None:
    assert background.call("noise").result(60) == "quiet"
    assert background.call("add", a="ä", b="\n").result(60) == "ä\n"


def test_expected_error_comes_back_as_one_and_the_process_goes_on(background: WorkerProcess) -> None:
    with pytest.raises(InsectsError, match=r"^no room: make some$"):
        background.call("refuse").result(60)
    assert background.call("add", a=1, b=1).result(60) == 2


@pytest.mark.parametrize(("handler", "error"), [("bug", "KeyError: 'key'"), ("nothing_of_the_name", "KeyError")])
def test_bug_in_a_handler_comes_back_with_its_traceback(background: WorkerProcess, handler: str, error: str) -> None:
    with pytest.raises(WorkerError) as caught:
        background.call(handler).result(60)
    assert str(caught.value).startswith("Traceback (most recent call last):")
    assert error in str(caught.value)
    assert background.call("add", a=1, b=1).result(60) == 2


def test_answer_that_is_not_json_is_a_bug_too(background: WorkerProcess) -> None:
    with pytest.raises(WorkerError, match="not JSON serializable"):
        background.call("unserializable").result(60)


def test_death_of_the_process_fails_all_that_waits_and_all_that_comes(background: WorkerProcess) -> None:
    waiting = [background.call("die"), background.call("add", a=1, b=1)]
    for future in waiting:
        with pytest.raises(WorkerError, match="the process ended"):
            future.result(60)
    with pytest.raises(WorkerError, match="the process ended"):
        background.call("add", a=1, b=1).result(60)


def test_last_words_need_not_be_utf8(background: WorkerProcess) -> None:
    with pytest.raises(WorkerError, match=r"^the process ended: m\ufffdde$"):
        background.call("die in Latin-1").result(60)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_encoding_of_the_terminal_does_not_matter(
    encoding: str, handlers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding}.items():
        monkeypatch.setenv(name, value)
    background = WorkerProcess(handlers)
    assert background.call("add", a="甲虫 \udcff", b="🐞").result(60) == "甲虫 \udcff🐞"
    background.close()


def test_without_a_folder_for_temporary_files_it_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(StoreError, match=r"temporary files cannot be written \(.*/none.*\): make room, or set TMPDIR"):
        WorkerProcess("search.upload.runs_worker")


def test_module_that_cannot_be_imported_says_so() -> None:
    background = WorkerProcess("no_such_module_here")
    with pytest.raises(WorkerError, match="No module named 'no_such_module_here'"):
        background.call("add").result(60)
    background.close()


@pytest.mark.parametrize(("number", "name"), [(int(signal.SIGKILL), "SIGKILL"), (signal.SIGRTMIN + 3, r"signal \d\d")])
def test_killed_process_says_how_it_ended(background: WorkerProcess, number: int, name: str) -> None:
    os.kill(background.call("pid").result(60), number)
    with pytest.raises(InsectsError, match=f"^a process that brings results to MLflow was ended by {name}$"):
        background.call("add", a=1, b=1).result(60)


def test_answer_that_cannot_be_read_fails_all_that_waits_and_all_that_comes(background: WorkerProcess) -> None:
    for future in [background.call("garble"), background.call("add", a=1, b=1)]:
        with pytest.raises(WorkerError, match="JSONDecodeError"):
            future.result(60)
    with pytest.raises(WorkerError, match="JSONDecodeError"):
        background.call("add", a=1, b=1).result(60)


def test_close_lets_it_finish_what_it_was_asked(handlers: str) -> None:
    background = WorkerProcess(handlers)
    futures = [background.call("add", a=number, b=0) for number in range(20)]
    background.close()
    assert [future.result(0) for future in futures] == list(range(20))


def test_close_with_a_timeout_ends_it_all_the_same(handlers: str) -> None:
    background = WorkerProcess(handlers)
    future = background.call("sleep", seconds=600)
    background.close(timeout=0.2)
    with pytest.raises(InsectsError, match="was ended by SIGKILL"):
        future.result(0)


def test_ctrl_c_of_the_terminal_does_not_reach_it(background: WorkerProcess) -> None:
    pid = background.call("pid").result(60)
    assert os.getsid(pid) != os.getsid(0)
    os.kill(pid, signal.SIGINT)
    assert background.call("pid").result(60) == pid


def test_its_arithmetic_has_one_thread(background: WorkerProcess) -> None:
    assert background.call("threads").result(60) == ["1", "1"]


def test_serve_answers_line_by_line() -> None:
    requests = io.StringIO('["add", {"a": 1, "b": 2}]\n["add", {"a": "x"}]\n')
    answers = io.StringIO()
    serve({"add": lambda a, b: a + b}, requests, answers)
    first, second = map(json.loads, answers.getvalue().splitlines())
    assert first == {"result": 3}
    assert second["expected"] is False
    assert "TypeError" in second["error"]


def test_project_modules_win_over_files_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, handlers: str
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "json.py").write_text("raise SystemExit('a stranger was imported')")
    monkeypatch.chdir(tmp_path / "work")
    background = WorkerProcess(handlers)
    assert background.call("add", a=1, b=2).result(60) == 3
    background.close()
    assert str(tmp_path / "work") not in sys.path
