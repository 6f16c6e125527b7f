"""Figures over two columns of a table in their own units, whatever the encoder makes of them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from matplotlib.figure import Figure

from insects import mlp
from insects.encoder import CodedColumn, fit_encoder
from insects.mlp import Floats, initial_weights
from insects.params import TrialParams
from insects.plots import TrialFigures, evaluation_boundaries
from insects.plots.plane import telling_columns
from insects.scaling import SCALINGS
from insects.splits import Splits, Table, encoded_splits
from tests.support.plot_cases import TITLE, decoded, texts

PARAMS = TrialParams(depth=1, width=8, lr=0.1, batch_size=8)
NAMES = ("left", "right")


def table_of(columns: tuple[CodedColumn, ...], gaps: bool) -> Table:
    """200 coded rows; the classes differ in column 1, and in column 3 a little."""
    generator = np.random.default_rng(0)
    y = (np.arange(200) % 2).astype(np.int32)
    parts = [
        generator.normal(100 * place, 5, 200) + (5 * y if place == 1 else 3 * y if place == 3 else 0)
        if column.levels is None
        else generator.integers(0, 3, 200)
        for place, column in enumerate(columns)
    ]
    x = np.column_stack(parts).astype(np.float32)
    if gaps:
        x[::9, 0] = np.nan
    return Table(tuple(column.name for column in columns), NAMES, x, y, "t.csv")


def splits_of(table: Table, columns: tuple[CodedColumn, ...], scaling: str) -> tuple[Splits, tuple[Floats, Floats]]:
    train, valid = np.arange(150), np.arange(150, 200)
    encoder = fit_encoder(columns, table.x[train], table.y[train], scaling)
    return encoded_splits(table, train, valid, encoder), (table.x[train], table.x[valid])


def predict_of(splits: Splits) -> partial[Floats]:
    weights = initial_weights(PARAMS, splits.shape, np.random.default_rng(0))
    return partial(mlp.logits, weights, PARAMS, splits.shape)


def evaluated(splits: Splits, raw: tuple[Floats, Floats], test: Floats) -> dict[str, Figure]:
    """The figures of an evaluation on `test` with the classes of the validation rows."""
    rows, y = np.concatenate(raw), np.concatenate([splits.train_y, splits.valid_y])
    columns = telling_columns(splits.encoder, rows, y, len(splits.classes))
    predict = predict_of(splits)
    return evaluation_boundaries(
        splits.encoder,
        NAMES,
        lambda x: predict(splits.encoder.transform(x)),
        test,
        splits.valid_y,
        columns=columns,
    )


FOUR = (CodedColumn("a"), CodedColumn("b"), CodedColumn("c", ("p", "q")), CodedColumn("d"))


@pytest.mark.parametrize("scaling", SCALINGS)
def test_two_most_telling_number_columns_are_drawn_beside_the_projection(scaling: str) -> None:
    splits, raw = splits_of(table_of(FOUR, gaps=True), FOUR, scaling)
    figures = TrialFigures(splits, raw=raw)
    assert figures.has_columns
    assert figures.plane.xlabel.startswith("PC 1 of ")
    predict = predict_of(splits)
    assert decoded(figures.decision_columns(predict, TITLE)).shape == (500, 700, 3)
    drawn = evaluated(splits, raw, raw[1])
    assert set(drawn) == {"decision_columns.png"}  # a projection cannot be asked about gaps and levels
    figure = drawn["decision_columns.png"]
    axes = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("b", "d")
    assert 80 < axes.get_xlim()[0] < axes.get_xlim()[1] < 130  # the units of the table
    assert any("other 2 columns at their median or most frequent level" in text for text in texts(figure))


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("gaps", [False, True])
def test_two_columns_alone_are_the_decision_boundary_in_their_own_units(scaling: str, gaps: bool) -> None:
    splits, raw = splits_of(table_of(FOUR[:2], gaps), FOUR[:2], scaling)
    figures = TrialFigures(splits, raw=raw)
    assert not figures.has_columns
    assert (figures.plane.xlabel, figures.plane.ylabel) == ("a", "b")
    assert 80 < figures.plane.ylim[0] < figures.plane.ylim[1] < 130
    predict = predict_of(splits)
    assert figures.thumbnail(predict).shape == (64, 64, 3)
    drawn = evaluated(splits, raw, raw[1])
    assert set(drawn) == {"decision_boundary.png"}
    assert drawn["decision_boundary.png"].axes[0].get_ylabel() == "b"


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("columns", [FOUR[:1], (CodedColumn("c", ("p",)),), FOUR[2:3]], ids=["number", "one", "levels"])
def test_a_single_column_is_drawn(columns: tuple[CodedColumn, ...], scaling: str) -> None:
    splits, raw = splits_of(table_of(columns, gaps=False), columns, scaling)
    figures = TrialFigures(splits, raw=raw)
    assert not figures.has_columns
    assert decoded(figures.decision_boundary(predict_of(splits), TITLE)).shape == (500, 700, 3)


def test_column_without_a_value_in_the_test_rows_is_drawn_at_the_training_median() -> None:
    splits, raw = splits_of(table_of(FOUR[:2], gaps=False), FOUR[:2], "robust")
    test = raw[1].copy()
    test[:, 0] = np.nan
    drawn = evaluated(splits, raw, test)
    low, high = drawn["decision_boundary.png"].axes[0].get_xlim()
    assert low < splits.encoder.fill[0] < high
