"""Instructions of the processor that the kernel uses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from insects.training import processor
from insects.training.processor import flush_denormals, restore_denormals


def test_treatment_of_denormal_numbers_is_restored() -> None:
    @njit
    def run(x: Any) -> Any:
        mode = flush_denormals()
        inside = x[0] * x[1]
        restore_denormals(mode)
        return inside, x[0] * x[1]

    small = np.array([1e-30, 1e-10], np.float32)
    inside, after = run(small)
    assert inside == (0.0 if processor._is_x86() else after)
    assert after == np.float32(1e-30) * np.float32(1e-10) > 0
