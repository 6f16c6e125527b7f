"""Permutation importances of a finalist with networks of known weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from insects import permutation
from insects.encoder import CodedColumn, Encoder, fit_encoder
from insects.final import Finalist, FoldResult
from insects.mlp import Floats
from insects.params import TrialParams
from insects.permutation import permutation_importances
from tests.support.studies import a_result

LINEAR = TrialParams(depth=0, width=8, lr=0.01, batch_size=32)
COLUMNS = (CodedColumn("noise"), CodedColumn("kind", ("a", "b")), CodedColumn("other"))
ROWS = 400


def the_rows() -> tuple[Floats, Encoder]:
    """Two numbers, the second with gaps, and a category, half of whose rows are of each level."""
    generator = np.random.default_rng(0)
    raw = generator.normal(size=(ROWS, 3)).astype(np.float32)
    raw[:, 1] = np.arange(ROWS) // 2 % 2
    raw[::5, 2] = np.nan
    return raw, fit_encoder(COLUMNS, raw, np.zeros(ROWS, np.int32))


def a_finalist(encoder: Encoder, inputs: dict[str, float], y: np.ndarray, balanced: bool = False) -> Finalist:
    """Two equal networks without a hidden layer: class 1 gets the sum of these inputs times these numbers."""
    weight = np.zeros((2, encoder.inputs), np.float32)
    for name, value in inputs.items():
        weight[1, encoder.input_names.index(name)] = value
    trial = replace(a_result(0, LINEAR), weights=np.concatenate([weight.ravel(), np.zeros(2, np.float32)]))
    logits = np.zeros((len(y) // 2, 2), np.float32)
    folds = tuple(FoldResult(trial, fold, logits, y[fold::2].astype(np.int32)) for fold in range(2))
    return Finalist(0, folds, "balanced" if balanced else "none")


FOLDS = np.arange(ROWS) % 2


def test_only_the_column_that_decides_is_of_importance_and_half_of_its_rows_become_wrong() -> None:
    raw, encoder = the_rows()
    y = raw[:, 1].astype(np.int32)
    finalist = a_finalist(encoder, {"kind=a": -4, "kind=b": 4}, y)
    first, *others = permutation_importances(finalist, encoder, raw, y, FOLDS)
    assert first.name == "kind"
    # Shuffled, half of the rows have the other level: log(1 + e^4) in place of log(1 + e^-4), which is 4 more.
    assert first.accuracy == pytest.approx(0.5, abs=0.04)
    assert first.loss == pytest.approx(4 * first.accuracy, rel=1e-5)
    assert {(column.name, column.loss, column.accuracy) for column in others} == {("noise", 0, 0), ("other", 0, 0)}


def test_missing_flag_is_shuffled_with_its_column() -> None:
    raw, encoder = the_rows()
    y = np.isnan(raw[:, 2]).astype(np.int32)
    finalist = a_finalist(encoder, {"other missing": 8, "kind=a": -4, "kind=b": -4}, y)
    first, *others = permutation_importances(finalist, encoder, raw, y, FOLDS)
    assert first.name == "other"
    # A fifth of the rows has a gap: shuffled, 1/5 * 4/5 of them lose it, and as many get one.
    assert first.accuracy == pytest.approx(0.32, abs=0.04)
    assert [column.accuracy for column in others] == [0, 0]  # a shuffled category still has one level


def test_network_is_asked_about_the_rows_of_its_own_fold_only() -> None:
    raw, encoder = the_rows()
    y = raw[:, 1].astype(np.int32)
    finalist = a_finalist(encoder, {"kind=a": -4, "kind=b": 4}, y)
    # The second network says the opposite: its rows become right where they are shuffled.
    second = replace(
        finalist.folds[1], trial=replace(finalist.folds[1].trial, weights=-finalist.folds[1].trial.weights)
    )
    mixed = replace(finalist, folds=(finalist.folds[0], second))
    first_alone = permutation_importances(mixed, encoder, raw, y, np.where(FOLDS == 0, 0, -1))
    second_alone = permutation_importances(mixed, encoder, raw, y, np.where(FOLDS == 1, 1, -1))
    assert first_alone[0].name == second_alone[-1].name == "kind"
    assert first_alone[0].accuracy == pytest.approx(0.5, abs=0.06)
    assert second_alone[-1].accuracy == pytest.approx(-0.5, abs=0.06)


def test_loss_is_weighted_as_in_the_study() -> None:
    raw, encoder = the_rows()
    raw[:, 1] = np.arange(ROWS) // 2 % 10 == 0
    y = raw[:, 1].astype(np.int32)  # a tenth is of class 1, which counts 5, the others 5/9
    (plain, *_), (weighted, *_) = (
        permutation_importances(a_finalist(encoder, {"kind=a": -4, "kind=b": 4}, y, balanced), encoder, raw, y, FOLDS)
        for balanced in (False, True)
    )
    assert plain.loss == pytest.approx(4 * plain.accuracy, rel=1e-5)
    assert weighted.accuracy == plain.accuracy
    # As many rows of class 0 as of class 1 become wrong.
    assert weighted.loss == pytest.approx(4 * plain.accuracy * (5 + 5 / 9) / 2, rel=1e-5)


def test_same_rows_give_the_same_and_a_table_that_would_take_long_none(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, encoder = the_rows()
    y = raw[:, 1].astype(np.int32)
    finalist = a_finalist(encoder, {"kind=a": -1, "noise": 1}, y)
    found = permutation_importances(finalist, encoder, raw, y, FOLDS)
    assert permutation_importances(finalist, encoder, raw, y, FOLDS) == found
    products = finalist.folds[0].trial.weights.size
    monkeypatch.setattr(permutation, "MOST_PRODUCTS", products * 3 * permutation.REPEATS * permutation.FEWEST_ROWS)
    fewer = permutation_importances(finalist, encoder, raw, y, FOLDS)
    assert len(fewer) == 3
    assert fewer != found
    monkeypatch.setattr(permutation, "MOST_PRODUCTS", products * 3 * permutation.REPEATS * permutation.FEWEST_ROWS - 1)
    assert permutation_importances(finalist, encoder, raw, y, FOLDS) == []
