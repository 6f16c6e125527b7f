"""Make the pictures of the README from a real search of the built-in table: `python docs/pictures.py`.

`terminal.svg` is the live table in the middle of the search, as a terminal of 92 columns received it; `atlas.png` is
the atlas of decision boundaries of its trials. Both are of the default command, `insects-search`.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

FOLDER = Path(__file__).parent
COLUMNS, ROWS = 92, 30
TRIALS_DONE = 30
"""Trials that have ended in the picture of the terminal."""
ATLAS_WIDTH = 900

_ERASED = re.compile(r"\r?(?:\x1b\[2K(?:\x1b\[1A)?)+")
"""What Rich writes before it draws the live table again."""

# As Rich's own format, without the fonts that it loads from another site.
_SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g>
</g>
</svg>
"""


def main() -> None:
    """Search in a store of its own, and write both pictures beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        shown = _on_a_terminal([str(Path(sys.executable).parent / "insects-search")], Path(folder))
        (atlas,) = Path(folder).glob("mlruns/artifacts/**/boundary_atlas.png")
        _write_atlas(atlas)
    (FOLDER / "terminal.svg").write_text(_picture(shown), encoding="utf-8")


def _on_a_terminal(command: list[str], folder: Path) -> str:
    """Run a command on a terminal in a folder, and return all that it wrote there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    variables = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "MLFLOW_TRACKING_URI")}
    received = b""
    with subprocess.Popen(  # noqa: S603 - the project's own command
        command, stdout=slave, stderr=slave, cwd=folder, env={**variables, "TERM": "xterm-256color"}
    ) as process:
        os.close(slave)
        while True:
            try:
                received += os.read(master, 65536)
            except OSError:  # Linux reports the end of a terminal as an error
                break
        os.close(master)
    if process.returncode:
        raise SystemExit(received.decode())
    return received.decode().replace("\r\n", "\n")


def _picture(shown: str) -> str:
    """Return the SVG of the live table when `TRIALS_DONE` trials had ended, under the command and its messages."""
    frames = [frame.strip("\n") for frame in _ERASED.split(shown)]
    live = next(frame for frame in frames if f"Trials: {TRIALS_DONE} of " in frame)
    messages = frames[0].partition("\x1b[?25l")[0].rstrip("\n")  # up to where the cursor is hidden
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for text in ("$ insects-search", messages, "", live):
        console.print(Text.from_ansi(text), highlight=False)
    return console.export_svg(title="insects-search", theme=MONOKAI, code_format=_SVG, unique_id="terminal")


def _write_atlas(atlas: Path) -> None:
    """Write a smaller copy of a figure: fewer pixels, and a palette."""
    with Image.open(atlas) as image:
        size = (ATLAS_WIDTH, round(image.height * ATLAS_WIDTH / image.width))
        small = image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        # The usual method gives rare colours away: two classes of the legend became one.
        palette = small.quantize(method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        palette.save(FOLDER / "atlas.png", optimize=True)


if __name__ == "__main__":
    main()
