"""Progress: a bar on a terminal, a line a trial elsewhere."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from search.system.terminal import ReadingProgress, TrialProgress

SCRIPT = """
import time
from search.system.terminal import TrialProgress, say
progress = TrialProgress(total=3, done=[0])
progress.known((0.5, 9, 0), 0.5)
say("Study s")
time.sleep(0.2)  # the bar is drawn ten times a second at most
progress.finished("complete", "validation loss 0.2500", (0.25, 9, 1), 0.25)
progress.finished("failed", "", (float("inf"), 0, 2), float("inf"))
progress.close()
"""


READING = """
import time
from search.system.terminal import ReadingProgress
with ReadingProgress() as progress:
    for done in (1, 2, 4):
        time.sleep(0.2)
        progress.show(done, 4)
"""


def on_a_terminal(script: str = SCRIPT) -> str:
    """The output of a script on a terminal of 80 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-c", script], stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # Linux reports the end of a terminal as an error
                break
            if not part:
                break
            shown += part
        os.close(master)
    assert process.returncode == 0, shown
    return shown.decode()


def test_terminal_shows_one_bar_that_is_redrawn_and_removed() -> None:
    shown = on_a_terminal()
    assert re.search(r"33%\|.*\| 1/3 ", shown)
    assert "2/3 " in shown
    assert "best loss 0.2500 (trial 1)" in shown
    assert "Study s" in shown
    assert "trial 1 complete" not in shown
    assert shown.rsplit("\r", 1)[0].endswith(" ")  # the bar is overwritten by blanks


def test_without_a_terminal_each_trial_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TrialProgress(total=4, done=[0])
    progress.known((0.5, 9, 0), 0.5)
    progress.finished("complete", "validation loss 0.7500, accuracy 0.9000", (0.75, 9, 2), 0.75)
    progress.finished("failed", "nothing", (float("inf"), 0, 1), float("inf"))
    progress.finished("complete", "validation loss 0.2500, accuracy 0.9500", (0.25, 9, 3), 0.25)
    progress.close()
    out, err = capsys.readouterr()
    assert out == ""
    lines = [re.sub(r", \d+ s of training left$", "", line) for line in err.splitlines()]
    assert lines == [
        "trial 2 complete: validation loss 0.7500, accuracy 0.9000; 2 of 4 done, best loss 0.5000 (trial 0)",
        "trial 1 failed: no figures; 3 of 4 done, best loss 0.5000 (trial 0)",
        "trial 3 complete: validation loss 0.2500, accuracy 0.9500; 4 of 4 done, best loss 0.2500 (trial 3)",
    ]


def test_best_trial_is_the_one_with_the_lowest_rank(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TrialProgress(total=3, done=[], metric="accuracy")
    for rank, best in (((0.125, 9, 1), 1), ((0.125, 9, 0), 0), ((0.125, 8, 2), 2)):
        progress.finished("complete", "accuracy 0.8750", rank, 0.875)
        assert f"best accuracy 0.8750 (trial {best})" in capsys.readouterr().err.splitlines()[-1]


def test_search_without_a_complete_trial_has_no_best_yet(capsys: pytest.CaptureFixture[str]) -> None:
    TrialProgress(total=2, done=[]).finished("failed", "", (float("inf"), 0, 0), 0.0)
    assert "no best yet" in capsys.readouterr().err


def test_closed_pipe_of_stderr_does_not_end_the_search() -> None:
    reader, writer = os.pipe()
    script = SCRIPT + "open('/dev/stdout', 'w').write('to the end')"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=writer) as process:
        os.close(writer)
        os.close(reader)
        assert process.communicate()[0] == b"to the end"
    assert process.returncode == 0


def test_reading_images_shows_a_bar_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    shown = on_a_terminal(READING)
    assert re.search(r"50%\|.*\| 2/4 ", shown)
    assert shown.rsplit("\r", 1)[0].endswith(" ")
    with ReadingProgress() as progress:
        progress.show(1, 2)
    assert capsys.readouterr() == ("", "")
