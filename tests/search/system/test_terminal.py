"""Messages and displays: redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from search.system.terminal import ReadingProgress, UploadProgress, quiet, say
from tests.support.pseudo_terminal import on_a_terminal

SCRIPT = """
import time
from search.system.terminal import ReadingProgress, say
say("before")
with ReadingProgress() as progress:
    for done in (1, 2, 4):
        progress.show(done, 4)
        say(f"a line after {done}")
        time.sleep(0.5)  # the display is drawn five times a second
say("after")
"""
COLOURED = """
from search.system.terminal import live_display
class Shown:
    def lines(self, width, height):
        return [("a line " * 20, ""), ("green", "green")]
with live_display(Shown()):
    pass
"""
LONG = "from search.system.terminal import say; say('word ' * 30 + 'end'); say('  ' + 'cell ' * 30)"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def test_display_is_redrawn_below_messages_and_erased() -> None:
    shown = on_a_terminal(SCRIPT)
    assert "Reading images: 2 of 4" in shown
    assert [shown.count(f"a line after {done}") for done in (1, 2, 4)] == [1, 1, 1]
    assert (shown.count(HIDE), shown.count(SHOW)) == (1, 1)
    erased = shown.rindex("\x1b[2K")
    assert erased > shown.rindex("Reading images")
    assert shown[erased:].endswith("after\r\n")


def test_finished_work_has_no_bar() -> None:
    shown = on_a_terminal(SCRIPT)
    full = [part for part in shown.split("Reading images: ") if part.startswith("4 of 4")]
    assert full
    assert not [part for part in full if "━" in part or "left" in part]


@pytest.mark.parametrize(
    ("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)], ids=["colours", "NO_COLOR"]
)
def test_display_has_colours_unless_they_are_not_wanted(environment: dict[str, str], coloured: bool) -> None:
    assert bool(re.search(r"\x1b\[[39]\d", on_a_terminal(COLOURED, environment=environment))) == coloured


def test_long_line_of_a_display_is_broken_between_words() -> None:
    assert "a line " * 11 + "a \r\nline " in on_a_terminal(COLOURED, columns=80)


def test_terminal_that_cannot_redraw_has_plain_lines() -> None:
    shown = on_a_terminal(SCRIPT, environment={"TERM": "dumb"})
    assert shown == "".join(f"{line}\r\n" for line in ("before", *(f"a line after {n}" for n in (1, 2, 4)), "after"))


def test_second_signal_leaves_a_terminal_with_a_cursor() -> None:
    script = """
import os, signal
from search.system.signals import StopFlag, handled_signals
from search.system.terminal import live_display
flag = StopFlag()
flag.polled = True
class Shown:
    def lines(self, width, height):
        return [("display", "")]
with handled_signals(flag, lambda: None), live_display(Shown()):
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
"""
    shown = on_a_terminal(script, code=130)
    assert HIDE in shown
    assert shown.rindex(SHOW) > shown.rindex(HIDE)


def test_long_lines_are_broken_between_words_on_a_terminal_only(capsys: pytest.CaptureFixture[str]) -> None:
    lines = on_a_terminal(LONG, columns=50).split("\r\n")
    assert lines[:4] == [" ".join(["word"] * 10)] * 3 + ["end"]
    assert lines[4] == "  " + "cell " * 30  # a table, or a command to be copied
    exec(LONG)  # noqa: S102 - the line above
    assert capsys.readouterr().err == "word " * 30 + "end\n  " + "cell " * 30 + "\n"


def test_quiet_shows_errors_only(capsys: pytest.CaptureFixture[str]) -> None:
    with quiet(True):
        say("a message")
        say("an error", is_error=True)
        with UploadProgress(lambda: "something"):
            pass
    say("afterwards")
    assert capsys.readouterr().err == "an error\nafterwards\n"


def test_quiet_shows_no_display() -> None:
    script = f"from search.system import terminal\nwith terminal.quiet(True):\n    exec({SCRIPT!r})"
    assert on_a_terminal(script) == ""


def test_closed_pipe_of_stderr_does_not_end_the_search() -> None:
    reader, writer = os.pipe()
    script = SCRIPT + "open('/dev/stdout', 'w').write('to the end')"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=writer) as process:
        os.close(writer)
        os.close(reader)
        assert process.communicate()[0] == b"to the end"
    assert process.returncode == 0


def test_without_a_terminal_reading_images_shows_nothing_and_an_upload_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ReadingProgress() as progress:
        progress.show(1, 2)
    with UploadProgress(lambda: "uploading 3 runs"):
        pass
    line = "Uploading the remaining trials to MLflow and registering the best model\n"
    assert capsys.readouterr() == ("", line)


def test_upload_says_what_is_left_and_for_how_long_it_has_run() -> None:
    script = """
import time
from search.system.terminal import UploadProgress
with UploadProgress(lambda: "uploading 3 runs, about 2 s"):
    time.sleep(0.5)
"""
    assert "MLflow, 0 s so far: uploading 3 runs, about 2 s" in on_a_terminal(script)
