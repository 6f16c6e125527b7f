"""Signals: the first asks the search to stop, the second ends the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from search.system.signals import Interrupted, StopFlag, handled_signals


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_sets_the_flag_and_check_raises_with_its_exit_code(number: signal.Signals, code: int) -> None:
    flag = StopFlag()
    flag.polled = True
    flag.check()
    with handled_signals(flag, lambda: pytest.fail("that was the first signal")):
        signal.raise_signal(number)
        assert flag.array.tolist() == [1]
        with pytest.raises(Interrupted, match=number.name) as caught:
            flag.check()
    assert caught.value.exit_code == code


def test_signal_before_the_flag_is_polled_raises_in_the_handler() -> None:
    with handled_signals(StopFlag(), lambda: None), pytest.raises(Interrupted, match="SIGTERM"):
        signal.raise_signal(signal.SIGTERM)


def test_handlers_are_restored_after_the_block() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with handled_signals(StopFlag(), lambda: None):
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_cleans_up_and_ends_the_process_at_once(number: signal.Signals) -> None:
    script = textwrap.dedent(f"""
        import signal
        from search.system.signals import StopFlag, handled_signals
        flag = StopFlag()
        flag.polled = True
        with handled_signals(flag, lambda: print("cleaned up", flush=True)):
            signal.raise_signal({int(number)})
            print("still here", flush=True)
            signal.raise_signal({int(number)})
            print("never reached", flush=True)
    """)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (128 + number, "still here\ncleaned up\n")


SEVERAL = """
import os, signal, subprocess, sys, threading
from search.system.signals import StopFlag, handled_signals
from search.upload.runs_worker import RunsWorker
from search.upload.worker_process import WorkerProcess
flag = StopFlag()
flag.polled = True
workers = [WorkerProcess(RunsWorker, "store", "sqlite://") for _ in range(2)]
for worker in workers:
    worker.submit(RunsWorker.close).result()  # it has started

def kill():
    for worker in workers:
        worker.kill()

def signals():
    for _ in range(60):
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(0.005)

with handled_signals(flag, kill):
    print(*[worker._process.pid for worker in workers], flush=True)
    threading.Thread(target=signals).start()
    if sys.argv[1] == "loop":
        while True:
            pass
    workers[0]._process.wait()  # as when the search ends and closes its workers
"""


@pytest.mark.parametrize("place", ["loop", "closing"])
def test_many_signals_end_the_process_and_its_workers(place: str) -> None:
    with subprocess.Popen([sys.executable, "-c", SEVERAL, place], stdout=subprocess.PIPE, text=True) as process:
        try:
            said, _ = process.communicate(timeout=120)  # a process that hangs fails the test
        finally:
            process.kill()
    assert process.returncode == 130
    for pid in map(int, said.split()):
        for _ in range(100):  # a killed process is gone a little later
            if not alive(pid):
                break
            time.sleep(0.1)
        assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return state.strip() not in ("", "Z")  # an orphan may stay a zombie


def test_signals_of_a_process_that_is_the_callers_are_left_to_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    flag, cleaned = StopFlag(), []
    flag.polled = True
    with handled_signals(flag, lambda: cleaned.append(1), owns_process=False):
        assert signal.getsignal(signal.SIGTERM) is before
        signal.raise_signal(signal.SIGINT)
        assert cleaned == []
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert cleaned == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_no_handler_is_set_outside_the_main_thread() -> None:
    def run() -> None:
        with handled_signals(StopFlag(), lambda: None, owns_process=False):
            seen.append(signal.getsignal(signal.SIGINT))

    seen: list[object] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
