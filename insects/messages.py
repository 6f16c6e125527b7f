"""Names and values from a user's data, made fit for a one-line message."""

from __future__ import annotations

from collections.abc import Sequence


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
