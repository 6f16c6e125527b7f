"""What every command has around it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, subprocess, sys
from search.cli.command import _open_closed_streams
_open_closed_streams()
print("nowhere")
print("nowhere", file=sys.stderr)
file = open(sys.argv[1], "w")
subprocess.run(["sh", "-c", "echo nowhere; echo nowhere >&2; read line"])
file.write(str(file.fileno()))
"""


def test_closed_streams_are_open_here_and_in_processes_that_are_started(tmp_path: Path) -> None:
    place = tmp_path / "file"
    line = '"$0" -c "$1" "$2" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", line, sys.executable, SCRIPT, str(place)], check=False)
    assert done.returncode == 0
    assert int(place.read_text()) > 2
