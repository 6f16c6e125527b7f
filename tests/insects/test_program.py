"""Programs run in NumPy: the logits of what `torch.export` wrote, for each encoder and each kind of network."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from insects.encoder import Encoder, fit_encoder
from insects.mlp import Floats, Shape, initial_weights
from insects.model import ImageFeatures, ImageMLP, RowMLP, build_module
from insects.params import TrialParams
from insects.program import read_program, torch_program
from insects.scaling import SCALINGS
from tests.insects.test_encoder import NAN, mixed_rows
from tests.support.encoders import plain_encoder

CLASSES, SIZE = 3, 8
KINDS = [(scaling, 1, 5) for scaling in SCALINGS] + [("standard", 0, 1), ("standard", 2, 1), ("quantile", 0, 3)]
"""Scaling of the encoder, depth and number of the networks."""


def exported(path: Path, module: nn.Module, inputs: torch.Tensor) -> Path:
    """The file of a module, exported for any number of rows."""
    program = torch.export.export(module.eval(), (inputs,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    torch.export.save(program, path)
    return path


def networks_of(params: TrialParams, features: int, count: int) -> list[Floats]:
    shape = Shape(features, CLASSES)
    return [initial_weights(params, shape, np.random.default_rng(seed)) * np.float32(5) for seed in range(count)]


def mlp_of(encoder: Encoder, depth: int, networks: int) -> tuple[RowMLP, list[Floats]]:
    params = TrialParams(depth=depth, width=7, lr=0.1, batch_size=4)
    weights = networks_of(params, encoder.inputs, networks)
    return build_module(weights, params, Shape(encoder.inputs, CLASSES), encoder), weights


def assert_same_logits(path: Path, encoder: Encoder | None, inputs: np.ndarray[Any, Any]) -> None:
    program = read_program(path, encoder)
    assert program is not None
    expected = torch_program(torch.export.load(path).module())
    for rows in (inputs, inputs[:1]):
        found = program(rows)
        assert found.dtype == np.float32
        assert_allclose(found, expected(rows), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("scaling", "depth", "networks"), KINDS)
def test_mixed_rows_get_the_logits_of_the_exported_program(
    scaling: str, depth: int, networks: int, tmp_path: Path
) -> None:
    columns, raw, y = mixed_rows(300)
    encoder = fit_encoder(columns, raw, y, scaling)
    later = np.concatenate([mixed_rows(50, seed=1)[1], np.full((1, 5), NAN, np.float32)])
    module, weights = mlp_of(encoder, depth, networks)
    path = exported(tmp_path / "model.pt2", module, torch.from_numpy(raw[:8]))
    assert_same_logits(path, encoder, later)
    program = read_program(path, encoder)
    assert program is not None
    assert (program.params.depth, len(program.weights)) == (depth, networks)
    assert_array_equal(program.weights, weights)


def test_standardized_rows_get_the_logits_of_the_exported_program(tmp_path: Path) -> None:
    encoder = plain_encoder(("a", "b"), np.array([3, -40], np.float32), np.array([0.5, 20], np.float32))
    rows = np.random.default_rng(0).normal([3, -40], [0.5, 20], (30, 2)).astype(np.float32)
    rows[0, 0] = NAN
    path = exported(tmp_path / "model.pt2", mlp_of(encoder, 3, 2)[0], torch.from_numpy(rows))
    assert_same_logits(path, encoder, rows)


def test_rows_too_far_away_are_as_undefined_as_in_torch(tmp_path: Path) -> None:
    encoder = plain_encoder(("a", "b"), std_F=np.full(2, 1e-30, np.float32))
    path = exported(tmp_path / "model.pt2", mlp_of(encoder, 1, 2)[0], torch.ones(2, 2))
    rows = np.array([[1e30, -1e30], [np.inf, 0]], np.float32)
    program = read_program(path, encoder)
    assert program is not None
    assert_array_equal(np.isnan(program(rows)), np.isnan(torch_program(torch.export.load(path).module())(rows)))


def test_pixels_get_the_logits_of_the_exported_program(tmp_path: Path) -> None:
    numbers = 3 * SIZE * SIZE
    encoder = plain_encoder([""] * numbers, np.full(numbers, 120, np.float32), np.full(numbers, 60, np.float32))
    images = np.random.default_rng(1).integers(0, 256, (6, 3, SIZE, SIZE), dtype=np.uint8)
    module = ImageMLP(ImageFeatures(SIZE, None), mlp_of(encoder, 1, 2)[0])
    path = exported(tmp_path / "model.pt2", module, torch.from_numpy(images))
    assert_same_logits(path, None, images)


def test_program_with_a_backbone_is_left_to_torch(tmp_path: Path) -> None:
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 2))
    module = ImageMLP(ImageFeatures(SIZE, backbone), mlp_of(plain_encoder(("a", "b")), 1, 1)[0])
    path = exported(tmp_path / "model.pt2", module, torch.zeros(2, 3, SIZE, SIZE, dtype=torch.uint8))
    assert read_program(path, None) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [("archive_version", b"1"), ("byteorder", b"big"), ("model_weights_config.json", None)],
)
def test_archive_of_another_layout_is_left_to_torch(name: str, content: bytes | None, tmp_path: Path) -> None:
    encoder = plain_encoder(("a", "b"))
    path = exported(tmp_path / "model.pt2", mlp_of(encoder, 1, 1)[0], torch.ones(2, 2))
    assert read_program(path, encoder) is not None
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "other.pt2", "w") as other:
        for entry in archive.namelist():
            kept = archive.read(entry) if not entry.endswith(name) else content
            if kept is not None:
                other.writestr(entry, kept)
    assert read_program(tmp_path / "other.pt2", encoder) is None
