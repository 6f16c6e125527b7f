"""What JSON that was written here has to look like when it is read again: nobody may have changed it meanwhile."""

from __future__ import annotations

from typing import Any

Kinds = Any
"""A type or a union; a dict: the kind of each of these keys, whatever others there are; a list of one kind: any number
of it; a list of several: just these, one after the other."""


def check_kinds(value: Any, kinds: Kinds, name: str) -> None:
    """Hold a value to its kinds. name: what to call it.

    Raises: TypeError: a part of it is missing, or of another kind; the message names the part.

    Examples:
        >>> check_kinds({"rows": 5, "pairs": [["a", 1], ["b", 2]]}, {"rows": int, "pairs": [[str, int]]}, "data")
        >>> check_kinds({"pairs": [["a"]]}, {"pairs": [[str, int]]}, "data")
        Traceback (most recent call last):
        TypeError: its data.pairs[0] is not what was written
    """
    if isinstance(kinds, dict):
        _insist(isinstance(value, dict), name)
        for key, inner in kinds.items():
            _insist(key in value, f"{name}.{key}")
            check_kinds(value[key], inner, f"{name}.{key}")
    elif isinstance(kinds, list):
        _insist(isinstance(value, list) and len(kinds) in (1, len(value)), name)
        for place, part in enumerate(value):
            check_kinds(part, kinds[0 if len(kinds) == 1 else place], f"{name}[{place}]")
    else:
        _insist(isinstance(value, kinds), name)


def _insist(holds: bool, name: str) -> None:
    if not holds:
        raise TypeError(f"its {name} is not what was written")
