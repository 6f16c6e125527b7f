"""The registered models: logits equal to those of the NumPy network, images of any size, export as one program."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from insects.images.reading import decode
from insects.mlp import Shape, initial_weights, logits, mean_logits, parameter_count
from insects.model import ImageFeatures, ImageMLP, RowMLP, build_module
from insects.params import TrialParams
from tests.support.encoders import plain_encoder

PARAMS, SHAPE = TrialParams(depth=3, width=21, lr=0.1, batch_size=4), Shape(features=2, classes=5)
SIZE = 16  # of images
MEAN, STD = np.array([3.0, -40.0], np.float32), np.array([0.5, 20.0], np.float32)
ENCODER = plain_encoder(("a", "b"), MEAN, STD)


@pytest.mark.parametrize("rows", [1, 1000])
def test_module_maps_unstandardized_rows_to_the_logits_of_the_network(rows: int) -> None:
    weights_P = initial_weights(PARAMS, SHAPE, np.random.default_rng(0))
    x_NF = np.random.default_rng(1).normal(MEAN, STD, (rows, 2)).astype(np.float32)
    with torch.no_grad():
        logits_NC = build_module([weights_P], PARAMS, SHAPE, ENCODER)(torch.tensor(x_NF)).numpy()
    expected = logits(weights_P, PARAMS, SHAPE, (x_NF - MEAN) / STD)
    assert logits_NC.dtype == np.float32
    assert_allclose(logits_NC, expected, rtol=1e-5, atol=1e-6)


def test_module_holds_a_copy_of_the_flat_weights_and_the_standardization() -> None:
    weights_P = initial_weights(PARAMS, SHAPE, np.random.default_rng(0))
    module = build_module([weights_P], PARAMS, SHAPE, ENCODER)
    flat = torch.cat([parameter.detach().flatten() for parameter in module.parameters()]).numpy()
    assert_array_equal(flat, weights_P)
    assert_array_equal(module.state_dict()["encoder.mean"].numpy(), MEAN)
    assert_array_equal(module.state_dict()["encoder.std"].numpy(), STD)
    assert not module.training
    weights_P[:] = 0
    assert next(module.parameters()).abs().sum() > 0


def test_module_of_several_networks_gives_the_mean_of_their_probabilities() -> None:
    weights = [initial_weights(PARAMS, SHAPE, np.random.default_rng(seed)) * np.float32(40) for seed in range(3)]
    x_NF = np.random.default_rng(1).normal(MEAN, STD, (50, 2)).astype(np.float32)
    with torch.no_grad():
        each = [
            torch.softmax(build_module([w], PARAMS, SHAPE, ENCODER)(torch.tensor(x_NF)), 1).numpy() for w in weights
        ]
        logits_NC = build_module(weights, PARAMS, SHAPE, ENCODER)(torch.tensor(x_NF))
    assert_allclose(np.exp(logits_NC.numpy()), np.mean(each, axis=0), rtol=1e-4, atol=1e-6)
    assert logits_NC.isfinite().all()
    expected = mean_logits(weights, PARAMS, SHAPE, (x_NF - MEAN) / STD)
    assert_allclose(logits_NC.numpy(), expected, rtol=1e-4, atol=1e-4)
    assert_array_equal(mean_logits(weights[:1], PARAMS, SHAPE, x_NF), logits(weights[0], PARAMS, SHAPE, x_NF))


def test_module_refuses_another_number_of_weights() -> None:
    with pytest.raises(ValueError, match=rf"found \({parameter_count(PARAMS, SHAPE) + 1},\)"):
        build_module([np.zeros(parameter_count(PARAMS, SHAPE) + 1, np.float32)], PARAMS, SHAPE, ENCODER)


def random_images(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))


def image_mlp() -> RowMLP:
    """A random network for the pixels of `SIZE` by `SIZE` images."""
    params, shape = TrialParams(depth=1, width=4, lr=0.1, batch_size=1), Shape(3 * SIZE * SIZE, 3)
    weights = np.random.default_rng(0).normal(size=parameter_count(params, shape)).astype(np.float32)
    ones = np.ones(shape.features, np.float32)
    return build_module(
        [weights],
        params,
        shape,
        plain_encoder([f"value {place}" for place in range(shape.features)], 120 * ones, 60 * ones),
    )


def test_images_of_the_models_size_are_their_own_features() -> None:
    images = random_images(5, 3, SIZE, SIZE)
    features = ImageFeatures(SIZE, None)(images)
    torch.testing.assert_close(features, images.flatten(1).float(), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(90, 120), (120, 90), (77, 77)])
def test_images_of_any_size_give_the_features_of_the_file_reader(shape: tuple[int, int]) -> None:
    coarse = np.random.default_rng(2).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    features = ImageFeatures(SIZE, None)(image).numpy().reshape(3, SIZE, SIZE)
    assert (features == features.round()).all()
    assert np.abs(features - decode(buffer.getvalue(), SIZE)).max() <= 1  # Pillow rounds after each of two passes


@pytest.mark.parametrize("example", [(4, 3, 30, 40), (4, 3, SIZE, SIZE), (4, 3, 9, 9)])
def test_exported_program_takes_any_batch_and_any_shape_of_image(example: tuple[int, ...]) -> None:
    model = ImageMLP(ImageFeatures(SIZE, None), image_mlp()).eval()
    free = torch.export.Dim.AUTO
    program = torch.export.export(model, (random_images(*example),), dynamic_shapes=({0: free, 2: free, 3: free},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    loaded = torch.export.load(buffer).module()
    for shape in ((1, 3, SIZE, SIZE), (7, 3, SIZE, SIZE), (2, 3, 50, 33), (2, 3, 33, 50)):
        images = random_images(*shape)
        logits = loaded(images)
        assert logits.shape == (shape[0], 3)
        torch.testing.assert_close(logits, model(images))
