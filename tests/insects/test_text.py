"""Text of messages and reports. The other functions of the module have examples in their docstrings."""

from __future__ import annotations

import pytest

from insects.text import metric_text, shortened


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


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.123456, "0.1235"),
        (0.001, "0.0010"),
        (0.00052, "5.2e-4"),
        (5e-5, "5.0e-5"),
        (9.99e-11, "1.0e-10"),
        (0.0, "0.0000"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_small_metrics_have_two_significant_digits(value: float, shown: str) -> None:
    assert metric_text(value) == shown
