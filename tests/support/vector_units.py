"""Kinds of vector units on which the tests of vector code run, and numbers for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from insects.training.processor import Lanes, host_lanes

VECTOR_UNITS = [Lanes(4, 3, False), Lanes(8, 3, False), Lanes(16, 4, False)]
if host_lanes().estimates:
    VECTOR_UNITS.append(host_lanes())
every_unit = pytest.mark.parametrize("lanes", VECTOR_UNITS, ids=str)


def numbers(*shape: int, seed: int = 0) -> Any:
    """Normal numbers, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
