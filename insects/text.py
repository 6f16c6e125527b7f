"""Text of messages and reports: quoted values, lists of names, aligned columns, counts in words."""

from __future__ import annotations

from collections.abc import Sequence

NAME_LENGTH = 20


def shown(value: object, limit: int = 40) -> str:
    """The text in quotes, at most about `limit` characters of it, control characters escaped.

    Examples:
        >>> print(shown("two\\nlines"), shown("a" * 100, limit=5))
        'two\\nlines' 'aaaa…'
    """
    text = str(value)
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def listed(names: Sequence[str], limit: int = 10) -> str:
    """The first `limit` names, and how many more there are.

    Examples:
        >>> print(listed(["a", "b", "c"], limit=2))
        'a', 'b' and 1 more
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(shown(name) for name in names[:limit]) + more


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
