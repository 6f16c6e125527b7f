"""Checks that JSON read from the store has the shape that was written."""

from __future__ import annotations

from typing import Any

Schema = Any
"""A type or a union of types; a dict: the schema of each of these keys, among others; a list of one schema: any number
of such values; a list of several: exactly these, in order."""


def check_schema(value: Any, schema: Schema, name: str) -> None:
    """Check a value against a schema.

    Args:
        value: What `json.loads` returned.
        schema: See `Schema`.
        name: What the error message calls the value.

    Raises:
        TypeError: A part is missing or of another type; the message names the part.

    Examples:
        >>> check_schema({"rows": 5, "pairs": [["a", 1], ["b", 2]]}, {"rows": int, "pairs": [[str, int]]}, "data")
        >>> check_schema({"pairs": [["a"]]}, {"pairs": [[str, int]]}, "data")
        Traceback (most recent call last):
        TypeError: its data.pairs[0] is not what was written
    """
    if isinstance(schema, dict):
        _check(isinstance(value, dict), name)
        for key, inner in schema.items():
            _check(key in value, f"{name}.{key}")
            check_schema(value[key], inner, f"{name}.{key}")
    elif isinstance(schema, list):
        _check(isinstance(value, list) and len(schema) in (1, len(value)), name)
        for place, part in enumerate(value):
            check_schema(part, schema[0 if len(schema) == 1 else place], f"{name}[{place}]")
    else:
        _check(isinstance(value, schema), name)


def _check(holds: bool, name: str) -> None:
    if not holds:
        raise TypeError(f"its {name} is not what was written")
