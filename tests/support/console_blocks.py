"""Commands with their output in Markdown, as a terminal would show them, and the comparison with a run.

In a block ```` ```console ```` a line that begins with `$ ` is a command, and the lines up to the next one are its
output. The line `…` stands for any number of lines.

A study's name is a hash of all that its results depend on. Where a run's name is the page's, every figure must be the
page's. On another kind of processor, or with other versions of the libraries, it is another name, and figures may
differ: then the hash, numbers with a decimal point, counts of right answers and of predicted classes, and the rows of
trials are masked on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

ANY = "…"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_STUDY = re.compile(r"\b([a-z]+-[0-9a-f]{8})\b")
_MASKS = (
    (re.compile(r"^ +\d+ +\d+ +\d+ .*$"), "  TRIAL"),
    (re.compile(r"(?<=[a-z]-)[0-9a-f]{8}\b"), "HASH"),
    (re.compile(r"\b\d+ of (?=\d+ right)"), "N of "),
    (re.compile(r"\b\d+\.\d+\b"), "N"),
    (re.compile(r"(?<=') \d+\b"), " N"),  # rows that a model gives a class
    (re.compile(r" +"), " "),
)


def console_commands(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a page, in order, each with the lines of its output."""
    found: list[tuple[str, list[str]]] = []
    for block in _BLOCK.findall(text):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def studies(lines: Sequence[str]) -> set[str]:
    """The names of studies in lines."""
    return {name for line in lines for name in _STUDY.findall(line)}


def difference(page: Sequence[str], run: Sequence[str], *, masked: bool) -> str:
    """What a page shows and a run did not print, in words; empty if they agree.

    Args:
        page: The lines of the page.
        run: The lines of the run.
        masked: Whether figures may differ.
    """
    wanted, found = ([_masked(line) for line in lines] if masked else list(lines) for lines in (page, run))
    place, skips = 0, False
    for line in wanted:
        if line == ANY:
            skips = True
            continue
        if skips:
            place = next((at for at in range(place, len(found)) if found[at] == line), len(found))
        if place >= len(found) or found[place] != line:
            return f"the page has {line!r}, the run {found[place] if place < len(found) else 'no such line'!r}"
        place, skips = place + 1, False
    return "" if skips or place == len(found) else f"the run went on with {found[place]!r}"


def _masked(line: str) -> str:
    for pattern, mask in _MASKS:
        line = pattern.sub(mask, line)
    return line
