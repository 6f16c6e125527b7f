"""The accuracy to expect: that of a mean of networks, by rows that none of them saw."""

from __future__ import annotations

import numpy as np
import pytest

from insects.evaluation import wilson_interval
from insects.expected import expected_accuracy
from insects.final import Finalist, FoldResult
from insects.mlp import Floats
from tests.support.studies import a_result

FOLDS = 5


def guesses(number: int, y: np.ndarray, seed: int, strength: float = 0.0) -> Finalist:
    """A finalist that guesses one of two classes, with a lean of `strength` to the right one."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(len(y), 2)).astype(np.float32)
    logits[np.arange(len(y)), y] += np.float32(strength)
    return of_logits(number, logits, y)


def of_logits(number: int, logits: Floats, y: np.ndarray) -> Finalist:
    of_fold = zip(np.array_split(logits, FOLDS), np.array_split(y.astype(np.int32), FOLDS), strict=True)
    return Finalist(number, tuple(FoldResult(a_result(number), fold, *rows) for fold, rows in enumerate(of_fold)))


def test_one_finalist_is_expected_to_do_as_it_did() -> None:
    y = np.arange(80) % 2
    finalist = guesses(0, y, 1, 1.0)
    expected = expected_accuracy([finalist])
    assert expected.accuracy == finalist.figures["accuracy"]
    assert (expected.low, expected.high) == wilson_interval(expected.accuracy, 64)  # 80 / (1 + 1 / 4)
    assert expected_accuracy([finalist], units=8).low == wilson_interval(expected.accuracy, 6.4)[0] < expected.low


def test_rows_are_judged_by_the_mean_of_probabilities() -> None:
    y = np.array([0, 0, 0, 1, 1])
    right = np.where(np.arange(2) == y[:, None], 1.0, 0.0)
    # Each errs surely on a row of its own, and the two others outvote it; together they are right everywhere.
    finalists = []
    for number in range(3):
        logits = right.astype(np.float32)
        logits[number] = logits[number, ::-1]
        finalists.append(of_logits(number, logits, y))
    assert [finalist.figures["accuracy"] for finalist in finalists] == pytest.approx([0.8] * 3)
    assert expected_accuracy(finalists).accuracy == 1.0


def test_luck_of_the_choice_takes_no_part() -> None:
    chosen, expected = [], []
    for seed in range(40):
        y = np.random.default_rng(seed).integers(0, 2, 60)
        finalists = [guesses(number, y, 100 * seed + number) for number in range(8)]
        best = min(finalists, key=lambda finalist: finalist.objective)
        chosen.append(best.figures["accuracy"])
        expected.append(expected_accuracy(finalists).accuracy)
    assert np.mean(chosen) > 0.55  # all of them guess: the truth is 0.5
    assert abs(np.mean(expected) - 0.5) < 0.02


def test_failed_finalist_is_left_out() -> None:
    y = np.arange(200) % 2
    strong = guesses(0, y, 1, 4.0)
    nothing = FoldResult(a_result(2, losses=(np.nan,)), 0, np.empty((0, 2), np.float32), np.empty(0, np.int32))
    assert expected_accuracy([Finalist(2, (nothing,) * FOLDS), strong]) == expected_accuracy([strong])
