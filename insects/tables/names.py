"""Names of classes, columns and tables: checks, order, and the texts that stand for them in messages."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from insects.splits import Labels
from insects.text import shown

LONGEST_NAME = 255
STANDARD_INPUT = "-"
_WHOLE_NUMBER = re.compile(rf"([+-]?\d{{1,{LONGEST_NAME}}})(\.0*)?", re.ASCII)  # `int` refuses thousands of digits
_ENDINGS = {"gz", "bz2", "xz", "zst", "zip"}


def checked_name(text: str) -> str:
    """Check a class or column name.

    Returns:
        The name without surrounding blanks.

    Raises:
        ValueError: The name is empty, too long, or has control characters. The text is the reason.
    """
    name = text.strip()
    if not name:
        raise ValueError("must not be empty; fill it in or leave the row out")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"must have at most {LONGEST_NAME} characters, found {len(name)}: {shown(name)}; shorten it")
    if not name.isprintable() and any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise ValueError(f"must not hold control characters, found {shown(name)}; take them out")
    return name


def ordered_classes(labels: Sequence[str]) -> tuple[tuple[str, ...], Labels]:
    """Sort class names: as numbers if all of them are whole numbers, else as text.

    Args:
        labels: Distinct labels in the order of their appearance.

    Returns:
        The class names, and for each label the number of its class.

    Examples:
        >>> ordered_classes(["10", "9", "09"])
        (('9', '10'), array([1, 0, 0], dtype=int32))
    """
    are_numbers = are_whole_numbers(labels)
    names = [canonical(label) for label in labels] if are_numbers else labels
    classes = sorted(set(names), key=int if are_numbers else None)
    number = {name: code for code, name in enumerate(classes)}
    return tuple(classes), np.array([number[name] for name in names], dtype=np.int32)


def are_whole_numbers(labels: Sequence[str]) -> bool:
    """True if every label is a whole number."""
    return all(_WHOLE_NUMBER.fullmatch(label) for label in labels)


def canonical(label: str) -> str:
    """One text for equal whole numbers: `+07.0` -> `7`."""
    return str(int(label.partition(".")[0]))


def source_name(path: str | os.PathLike[str]) -> str:
    """Name of a file in messages, with control characters escaped."""
    text = os.fspath(path)
    return "standard input" if text == STANDARD_INPUT else shown(text, limit=200)[1:-1]


def stem(path: str | os.PathLike[str]) -> str:
    """The name that a study and a model get from their file: letters, digits, `-`, `_` and `.`, at most 60.

    Examples:
        >>> stem("data/My flowers (2024).csv.gz"), stem("-")
        ('My-flowers-2024', 'table')
    """
    parts = Path(os.fspath(path)).name.split(".")
    while len(parts) > 1 and parts[-1].lower() in _ENDINGS:
        parts.pop()
    name = ".".join(parts[:-1] if len(parts) > 1 else parts)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.]+", "-", plain)[:60].strip("-._") or "table"
