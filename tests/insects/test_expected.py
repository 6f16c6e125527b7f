"""The accuracy to expect: not the chosen finalist's own figure, but one that the choice took no part in."""

from __future__ import annotations

import numpy as np
import pytest

from insects.evaluation import wilson_interval
from insects.expected import expected_accuracy
from insects.final import Finalist, FoldResult
from insects.mlp import Floats
from tests.support.studies import a_result


def guesses(number: int, y: np.ndarray, seed: int, strength: float = 0.0) -> Finalist:
    """A finalist that guesses one of two classes, with a lean of `strength` to the right one."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(len(y), 2)).astype(np.float32)
    logits[np.arange(len(y)), y] += np.float32(strength)
    return of_logits(number, logits, y)


def of_logits(number: int, logits: Floats, y: np.ndarray) -> Finalist:
    return Finalist(number, (FoldResult(a_result(number), 0, logits, y.astype(np.int32)),))


def test_one_finalist_is_expected_to_do_as_it_did() -> None:
    y = np.arange(80) % 2
    finalist = guesses(0, y, 1, 1.0)
    expected = expected_accuracy([finalist])
    assert expected.accuracy == finalist.figures["accuracy"]
    assert (expected.low, expected.high) == wilson_interval(expected.accuracy, 80)
    assert expected_accuracy([finalist], units=8).low == wilson_interval(expected.accuracy, 8)[0] < expected.low


def test_luck_of_the_choice_is_taken_out() -> None:
    chosen, corrected = [], []
    for seed in range(40):
        y = np.random.default_rng(seed).integers(0, 2, 60)
        finalists = [guesses(number, y, 100 * seed + number) for number in range(8)]
        best = min(finalists, key=lambda finalist: finalist.objective)
        chosen.append(best.figures["accuracy"])
        corrected.append(expected_accuracy(finalists).accuracy)
    assert np.mean(chosen) > 0.55  # all of them guess: the truth is 0.5
    assert abs(np.mean(corrected) - 0.5) < 0.02


def test_clear_winner_needs_no_correction_and_a_failed_finalist_is_left_out() -> None:
    y = np.arange(200) % 2
    strong, weak = guesses(0, y, 1, 4.0), guesses(1, y, 2)
    failed = Finalist(
        2, (FoldResult(a_result(2, losses=(np.nan,)), 0, np.empty((0, 2), np.float32), np.empty(0, np.int32)),)
    )
    expected = expected_accuracy([weak, strong, failed])
    assert expected.accuracy == pytest.approx(strong.figures["accuracy"], abs=0.002)
    assert expected == expected_accuracy([weak, strong, failed])
