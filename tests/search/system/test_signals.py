"""Signals: the first asks to stop, the second ends the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from search.system.signals import Interrupted, StopFlag


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_first_signal_raises_the_flag_and_says_which_it_was(number: signal.Signals, code: int) -> None:
    flag = StopFlag()
    flag.polled = True
    flag.check()
    with handled_signals(flag, lambda: pytest.fail("that was the first signal")):
        signal.raise_signal(number)
        assert flag.array.tolist() == [1]
        with pytest.raises(Interrupted, match=number.name) as caught:
            flag.check()
    assert caught.value.exit_code == code


def test_signal_that_nobody_would_see_raises_by_itself() -> None:
    with handled_signals(StopFlag(), lambda: None), pytest.raises(Interrupted, match="SIGTERM"):
        signal.raise_signal(signal.SIGTERM)


def test_handlers_of_before_come_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with handled_signals(StopFlag(), lambda: None):
        assert signal.getsignal(signal.SIGTERM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_second_signal_cleans_up_and_ends_the_process_at_once(number: signal.Signals) -> None:
    script = textwrap.dedent(f"""
        import signal
        from search.system.signals import StopFlag, handled
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
from search.upload.worker_process import WorkerProcess
from search.system.signals import StopFlag, handled
flag = StopFlag()
flag.polled = True
helpers = [WorkerProcess("search.upload.model_worker"), WorkerProcess("search.upload.model_worker")]
for helper in helpers:
    helper.call("warm_up").result()  # its libraries take a while to take down

def kill():
    for helper in helpers:
        helper.kill()

def signals():
    for _ in range(60):
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(0.005)

with handled_signals(flag, kill):
    print(*[helper._process.pid for helper in helpers], flush=True)
    threading.Thread(target=signals).start()
    if sys.argv[1] == "loop":
        while True:
            pass
    helpers[0]._process.wait()  # as when the search ends, and closes its helpers
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["loop", "closing"])
def test_many_signals_end_the_process_and_its_helpers(place: str) -> None:
    with subprocess.Popen([sys.executable, "-c", SEVERAL, place], stdout=subprocess.PIPE, text=True) as process:
        try:
            said, _ = process.communicate(timeout=120)  # it hung for good
        finally:
            process.kill()
    assert process.returncode == 130
    for pid in map(int, said.split()):
        for _ in range(100):  # a process is killed at once, and gone a little later
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
    return state.strip() not in ("", "Z")  # nobody may be there to bury an orphan
