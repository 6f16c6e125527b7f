"""Running a script on a pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping


def on_a_terminal(
    script: str, *, columns: int = 80, code: int = 0, environment: Mapping[str, str] | None = None
) -> str:
    """Return the output of a Python script on a terminal of so many columns.

    Args:
        script: The script.
        columns: Columns of the terminal.
        code: The exit code that it must have.
        environment: Variables of its environment, beside `TERM`.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = {**{key: value for key, value in os.environ.items() if key != "NO_COLOR"}, "TERM": "xterm"}
    variables |= environment or {}
    with subprocess.Popen([sys.executable, "-c", script], stdout=slave, stderr=slave, env=variables) as process:
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
    assert process.returncode == code, shown
    return shown.decode()
