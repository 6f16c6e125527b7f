"""What the parameters of `insects.estimator.MLPClassifier` may be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np


def _is_number(value: Any, low: float, high: float = math.inf, *, above: bool = False) -> bool:
    """Whether a value is a number in [low, high), or in (low, high)."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    return low <= float(value) < high and not (above and value == low)


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and _is_number(value, 1)


_CHOICES = {"activation": ("relu",), "solver": ("adam",), "learning_rate": ("constant", "cosine")}

_RULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "alpha": ("a number of at least 0", lambda value: _is_number(value, 0)),
    "batch_size": ("'auto' or a whole number of at least 1", lambda value: value == "auto" or _is_count(value)),
    "learning_rate_init": ("a number above 0", lambda value: _is_number(value, 0, above=True)),
    "max_iter": ("a whole number of at least 1", _is_count),
    "tol": ("a number of at least 0", lambda value: _is_number(value, 0)),
    "validation_fraction": ("a number above 0 and below 1", lambda value: _is_number(value, 0, 1, above=True)),
    "beta_1": ("a number of at least 0 and below 1", lambda value: _is_number(value, 0, 1)),
    "beta_2": ("a number of at least 0 and below 1", lambda value: _is_number(value, 0, 1)),
    "epsilon": ("a number above 0", lambda value: _is_number(value, 0, above=True)),
    "n_iter_no_change": (
        "a whole number of at least 1, or numpy.inf",
        lambda value: _is_count(value) or (isinstance(value, float) and value == math.inf),
    ),
}
"""Each parameter that is a number: what it must be, and the test of it."""

_FLAGS = ("shuffle", "warm_start", "early_stopping")


def check_parameters(estimator: Any) -> None:
    """Check the parameters of an estimator.

    Args:
        estimator: It has them as attributes.

    Raises:
        ValueError: One is out of its bounds, or is something that the engine cannot do.
    """
    for name, known in _CHOICES.items():
        value = getattr(estimator, name)
        if not (isinstance(value, str) and value in known):
            raise ValueError(f"{name} must be {' or '.join(map(repr, known))}, found {value!r}")
    for name, (rule, holds) in _RULES.items():
        if not holds(getattr(estimator, name)):
            raise ValueError(f"{name} must be {rule}, found {getattr(estimator, name)!r}")
    for name in _FLAGS:
        if not isinstance(getattr(estimator, name), (bool, np.bool_)):
            raise ValueError(f"{name} must be True or False, found {getattr(estimator, name)!r}")
    hidden_units(estimator.hidden_layer_sizes)


def hidden_units(sizes: int | Iterable[int]) -> list[int]:
    """The units of each hidden layer.

    Args:
        sizes: The parameter `hidden_layer_sizes`.

    Raises:
        ValueError: It is neither a whole number above 0 nor some of them.

    Examples:
        >>> hidden_units(64), hidden_units((64, 32)), hidden_units(())
        ([64], [64, 32], [])
    """
    units = list(sizes) if isinstance(sizes, Iterable) else [sizes]
    if not all(_is_count(size) for size in units):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes!r}: whole numbers, one for each hidden layer")
    return [int(size) for size in units]
