"""Text for messages and reports: quoted values, counts with their nouns, aligned tables."""

from __future__ import annotations

from collections.abc import Sequence

NAME_LENGTH = 20
"""Characters of a column or class name in a report."""


def shown(value: object, limit: int = 40) -> str:
    """Quote a value for a message, with control characters escaped and at most about `limit` characters.

    Examples:
        >>> print(shown("two\\nlines"), shown("a" * 100, limit=5))
        'two\\nlines' 'aaaa…'
    """
    text = str(value)
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")


def listed(names: Sequence[str], limit: int = 10) -> str:
    """Quote the first `limit` names and count the others.

    Examples:
        >>> print(listed(["a", "b", "c"], limit=2))
        'a', 'b' and 1 more
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(shown(name) for name in names[:limit]) + more


def shortened(name: str, length: int = NAME_LENGTH) -> str:
    """Cut a name to `length` characters on one line; an ellipsis replaces its middle.

    Examples:
        >>> shortened("Carabus violaceus purpurascens")
        'Carabus viola…ascens'
    """
    name = " ".join(name.split())
    if len(name) <= length:
        return name
    tail = (length - 1) // 3
    return f"{name[: length - 1 - tail]}…{name[-tail:]}"


def counted(count: int, noun: str) -> str:
    """A number with its noun, in the plural where needed.

    Examples:
        >>> counted(1, "row"), counted(1200, "row"), counted(2, "class"), counted(2, "category")
        ('1 row', '1,200 rows', '2 classes', '2 categories')
    """
    if count == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{count:,} {noun[:-1]}ies"
    return f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


def metric_text(value: float) -> str:
    """A loss or a score with four decimals, or with two significant digits where they would say nothing.

    Examples:
        >>> metric_text(0.25), metric_text(0.000052), metric_text(0.0)
        ('0.2500', '5.2e-5', '0.0000')
    """
    if not 0 < value < 0.001:
        return f"{value:.4f}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def share(count: int, total: int) -> str:
    """A ratio in percent.

    Examples:
        >>> share(1, 8)
        '12.5 %'
    """
    return f"{100 * count / total:.1f} %"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    ]


def and_more(count: int, nouns: str) -> list[str]:
    """The last line of a table that was cut, or no line if `count` is 0 or less.

    Examples:
        >>> and_more(1200, "columns")
        ['… and 1,200 more columns']
    """
    return [f"… and {count:,} more {nouns}"] if count > 0 else []
