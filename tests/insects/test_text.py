"""Text of messages and reports. The other functions of the module have examples in their docstrings."""

from __future__ import annotations

import pytest

from insects.text import shortened


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("bee", "bee"),
        ("a\nb", "a b"),
        ("Carabus violaceus", "Carabus violaceus"),
        ("0123456789" * 3, "0123456789012…456789"),
    ],
)
def test_long_names_are_cut_in_their_middle_and_put_on_one_line(name: str, shown: str) -> None:
    assert shortened(name) == shown
