"""The best trial of several."""

from __future__ import annotations

import math
from dataclasses import replace

from insects.trial import best_of
from tests.support.studies import a_failure, a_result


def test_best_trial_is_the_complete_one_with_the_lowest_loss_and_the_lowest_number() -> None:
    lower = [a_result(0, losses=(0.1,), state="pruned"), a_result(1, losses=(math.nan,)), a_failure(2)]
    equal = [a_result(number, losses=(2.0, 0.5)) for number in (4, 3)]
    best = best_of([*lower, a_result(5, losses=(0.6,)), *equal])
    assert best is not None
    assert best.number == 3
    assert best_of(lower) is None
    assert best_of([replace(best, number=9), best]) is best
