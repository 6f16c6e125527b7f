"""What the tests of stored results share."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import HealthCheck, settings

from insects.trial import TrialResult

CI = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example overwrites the file of the one before
)


def assert_equal(one: TrialResult, other: TrialResult | None) -> None:
    assert other is not None
    for field in fields(TrialResult):
        before, after = getattr(one, field.name), getattr(other, field.name)
        if isinstance(before, np.ndarray):
            assert (before.dtype, before.shape, before.tobytes()) == (after.dtype, after.shape, after.tobytes())
        else:
            assert before == after, field.name
