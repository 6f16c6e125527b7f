"""The encoder: inputs worked out by hand, survival of JSON, and the same numbers from the exported program."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from insects.encoder import CodedColumn, Encoder, fit_encoder, moments, number_columns, standard_encoder
from insects.mlp import Floats
from insects.model import RowEncoder
from insects.scaling import SCALINGS

NAN = np.nan
COLUMNS = (CodedColumn("mass"), CodedColumn("island", ("east", "west")), CodedColumn("legs"))
TRAIN = np.array([[1, 0, 6], [NAN, 1, 6], [3, NAN, 6], [5, 2, 8]], np.float32)
Y = np.array([0, 1, 0, 1])


def mixed_rows(rows: int, seed: int = 0) -> tuple[tuple[CodedColumn, ...], Floats, np.ndarray]:
    """Coded rows of five columns, with gaps and a level that is not among the known ones."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 3, rows)
    columns = (
        CodedColumn("a"),
        CodedColumn("b", ("p", "q", "r")),
        CodedColumn("c"),
        CodedColumn("d", ("x",)),
        CodedColumn("e"),
    )
    raw = np.column_stack(
        [
            generator.normal(50, 10, rows) + y,
            generator.integers(0, 4, rows),
            np.exp(generator.normal(0, 3, rows)),
            np.where(generator.random(rows) < 0.5, 0, NAN),
            generator.integers(0, 5, rows),
        ]
    ).astype(np.float32)
    raw[generator.random(rows) < 0.2, 0] = NAN
    return columns, raw, y


def test_inputs_are_scaled_numbers_then_gaps_then_levels() -> None:
    encoder = fit_encoder(COLUMNS, TRAIN, Y)
    assert encoder.input_names == (
        "mass", "legs", "mass missing", "island=east", "island=west", "island=other", "island=missing",
    )  # fmt: skip
    assert encoder.fill.tolist() == [3, 6]  # the medians of what is there
    mass = (np.array([1, 3, 3, 5]) - 3) / np.sqrt(2)
    legs = (np.array([6, 6, 6, 8]) - 6.5) / np.sqrt(0.75)
    expected = np.column_stack([mass, legs, [0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])
    assert_allclose(encoder.transform(TRAIN), expected, atol=1e-6)


def test_gaps_and_levels_that_no_training_row_has_are_zeros() -> None:
    columns = (CodedColumn("mass"), CodedColumn("island", ("east", "west")))
    encoder = fit_encoder(columns, np.array([[1, 0], [3, 1]], np.float32), Y[:2])
    assert encoder.inputs == 3
    assert_array_equal(encoder.transform(np.array([[NAN, 2], [2, NAN]], np.float32)), [[0, 0, 0], [0, 0, 0]])


def test_plain_table_is_standardized_with_the_bits_of_the_moments() -> None:
    raw = np.random.default_rng(0).normal(3, 7, (50, 4)).astype(np.float32)
    encoder = fit_encoder(number_columns("abcd"), raw, np.zeros(50, int))
    mean, std = moments(raw)
    assert encoder.is_plain
    assert encoder.input_names == tuple("abcd")
    assert_array_equal(encoder.transform(raw), (raw - mean) / std)
    assert_array_equal(standard_encoder("abcd", raw).transform(raw), encoder.transform(raw))


@pytest.mark.parametrize("scaling", SCALINGS)
def test_categories_alone_need_no_numbers(scaling: str) -> None:
    raw = np.array([[0, 1], [1, 0], [NAN, 0]], np.float32)
    encoder = fit_encoder((CodedColumn("a", ("p", "q")), CodedColumn("b", ("x", "y"))), raw, Y[:3], scaling)
    assert encoder.input_names == ("a=p", "a=q", "a=missing", "b=x", "b=y")
    assert_array_equal(encoder.transform(raw), [[1, 0, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 1, 1, 0]])
    with torch.no_grad():
        assert_array_equal(RowEncoder(encoder)(torch.from_numpy(raw)).numpy(), encoder.transform(raw))


def test_gap_of_a_plain_table_counts_as_the_median_also_in_the_program() -> None:
    raw = np.array([[1, 5], [2, 6], [9, 10]], np.float32)
    encoder = fit_encoder(number_columns("ab"), raw, Y[:3])
    later = np.array([[NAN, 7], [2, NAN]], np.float32)
    expected = encoder.transform(np.array([[2, 7], [2, 6]], np.float32))
    assert_array_equal(encoder.transform(later), expected)
    assert_array_equal(RowEncoder(encoder)(torch.from_numpy(later)).numpy(), expected)
    assert np.isnan(later).sum() == 2  # the rows are not changed


@pytest.mark.parametrize("scaling", SCALINGS)
def test_encoder_survives_json(scaling: str) -> None:
    columns, raw, y = mixed_rows(200)
    encoder = fit_encoder(columns, raw, y, scaling)
    again = Encoder.from_dict(json.loads(json.dumps(encoder.as_dict())))
    later = mixed_rows(100, seed=1)[1]
    assert_array_equal(again.transform(later), encoder.transform(later))
    assert again.input_names == encoder.input_names
    assert len(set(encoder.input_names)) == encoder.inputs == encoder.transform(later).shape[1]


@pytest.mark.parametrize("scaling", SCALINGS)
def test_exported_program_gives_the_inputs_of_the_encoder(scaling: str) -> None:
    columns, raw, y = mixed_rows(300)
    encoder = fit_encoder(columns, raw, y, scaling)
    later = np.concatenate([mixed_rows(50, seed=1)[1], np.full((1, 5), NAN, np.float32)])
    later[:3, 2] = -1e30, 1e30, 0
    dynamic = ({0: torch.export.Dim.AUTO},)
    program = torch.export.export(RowEncoder(encoder), (torch.from_numpy(raw[:8]),), dynamic_shapes=dynamic)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    loaded = torch.export.load(buffer).module()
    for rows in (later, later[:1], raw):
        inputs = loaded(torch.from_numpy(rows)).numpy()
        assert inputs.dtype == np.float32
        assert_allclose(inputs, encoder.transform(rows), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_encoder_depends_on_training_rows_alone_and_gives_finite_inputs(scaling: str) -> None:
    columns, raw, y = mixed_rows(120)
    raw[:, 4] = 7  # a constant column
    encoder = fit_encoder(columns, raw, y, scaling)
    order = np.random.default_rng(2).permutation(len(raw))
    assert_allclose(
        fit_encoder(columns, raw[order], y[order], scaling).transform(raw), encoder.transform(raw), atol=1e-5
    )
    extreme = np.array([[3e38, 0, -3e38, 0, 3e38], [NAN, NAN, NAN, NAN, NAN]], np.float32)
    with np.errstate(over="ignore"):
        inputs = encoder.transform(extreme)
    assert np.isfinite(inputs[1]).all()
    assert not np.isnan(inputs).any()
