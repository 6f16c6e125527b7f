"""Plain text for a terminal: names cut to a length, columns that line up, counts in words."""

from __future__ import annotations

from collections.abc import Sequence

NAME_LENGTH = 20


def shortened(name: str, length: int = NAME_LENGTH) -> str:
    """`name` on one line and in at most `length` characters; an ellipsis stands for what was cut from its middle."""
    name = " ".join(name.split())
    if len(name) <= length:
        return name
    tail = (length - 1) // 3
    return f"{name[: length - 1 - tail]}…{name[-tail:]}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines whose cells line up: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]


def cut(count: int, what: str) -> list[str]:
    """A line that says how many more there are, if any."""
    return [f"… and {count:,} more {what}"] if count > 0 else []


def counted(count: int, what: str) -> str:
    """`1 row`, `1,200 rows`, `2 classes`."""
    plural = "" if count == 1 else "es" if what.endswith("s") else "s"
    return f"{count:,} {what}{plural}"


def share(count: int, total: int) -> str:
    """`12.5 %`."""
    return f"{100 * count / total:.1f} %"
