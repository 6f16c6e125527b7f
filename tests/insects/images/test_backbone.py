"""Backbones: features equal to those of torchvision, weights from a file, errors that name the parameter to change."""

from __future__ import annotations

import functools
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from insects.errors import DataError
from insects.images import backbone as backbone_module
from insects.images.annotations import read_annotations
from insects.images.backbone import Backbone, load_backbone, weights_digest
from insects.images.features import FeatureRecipe, load_images
from insects.model import ImageFeatures

WeightsOf = Callable[..., Path]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks on two busy cores spend most of their time on waiting for the other thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def weights_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeightsOf]:
    """`weights_of(name, **options)` writes random weights of a network; only the last file is kept, up to 340 MB."""
    folder = tmp_path_factory.mktemp("weights")

    @functools.lru_cache(maxsize=1)
    def write(name: str, **options: Any) -> Path:
        shutil.rmtree(folder)
        folder.mkdir()
        torch.manual_seed(0)
        path = folder / f"{'-'.join([name, *map(str, options.values())])}.pt"  # `loaded_once` tells networks by it
        torch.save(models.get_model(name, weights=None, **options).state_dict(), path)
        return path

    yield write
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def loaded_once() -> Iterator[None]:
    """Loads a network once for all tests in a row that use it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbone_module, "load_backbone", functools.lru_cache(maxsize=1)(load_backbone))
        yield


@pytest.fixture(scope="module")
def resnet18(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a ResNet-18 with seven classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("resnet18") / "resnet18.pt"
    torch.save(models.resnet18(num_classes=7).state_dict(), path)
    return path


def test_features_come_from_the_weights_file_and_are_cached(resnet18: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(4):
        Image.new("RGB", (40, 40), (60 * number, 200 - 40 * number, 9)).save(images / f"{number}.png")
    (tmp_path / "a.csv").write_text("filename,species\n0.png,a\n1.png,a\n2.png,b\n3.png,b\n")
    annotations = read_annotations(tmp_path / "a.csv", images)
    recipe = FeatureRecipe(32, "resnet18", resnet18)
    found = load_images(annotations, recipe, tmp_path / "cache")
    assert found.table.x.shape == (4, 512)
    features = ImageFeatures(32, load_backbone("resnet18", resnet18)).eval()
    expected = features(torch.from_numpy(found.pixels)).numpy()
    np.testing.assert_allclose(found.table.x, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    np.testing.assert_array_equal(load_images(annotations, recipe, tmp_path / "cache").table.x, found.table.x)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == before
    assert len(before) == 2


def test_bad_backbone_or_weights_are_refused(resnet18: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({1: torch.zeros(1)}, tmp_path / "numbers.pt")
    known = "must be a classification network of torchvision that ends in a linear layer, found"
    for name, file, message, parameter in (
        ("resnet19", resnet18, f"the backbone {known} 'resnet19'; choose for example", "backbone"),
        ("squeezenet1_1", resnet18, f"the backbone {known} 'squeezenet1_1'", "backbone"),
        ("resnet50", resnet18, "do not fit the backbone resnet50", "weights"),
        ("resnet18", tmp_path / "none.pt", "cannot read the weights", "weights"),
        ("resnet18", tmp_path, "must be a regular file", "weights"),
        ("resnet18", Path("/dev/zero"), "/dev/zero must be a regular file", "weights"),
        ("resnet18", tmp_path / "text.pt", "must be a state dict of tensors", "weights"),
        ("resnet18", tmp_path / "list.pt", "must be a state dict of tensors", "weights"),
        ("resnet18", tmp_path / "numbers.pt", "must be a state dict of tensors", "weights"),
    ):
        with pytest.raises(DataError, match=message) as error:
            load_backbone(name, file)
        assert str(error.value).isprintable()
        assert error.value.parameter == parameter


def test_failed_download_asks_for_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The port refuses connections at once, as if there were no network.
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "_opener", None)  # else urllib keeps the proxies of its first request
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(DataError, match="/dev/zero must be a regular file"):
        weights_digest("resnet18", Path("/dev/zero"))
    message = r"the weights of the backbone resnet18 cannot be downloaded: .*; choose a file of weights"
    with pytest.raises(DataError, match=message) as error:
        load_backbone("resnet18", None)
    assert error.value.parameter == "weights"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("googlenet", 64), ("inception_v3", 80)])
def test_features_of_a_network_that_transforms_its_input_equal_torchvisions(
    name: str, size: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = models.get_model(name, transform_input=True, init_weights=False).eval()  # as with torchvision's weights
    pixels = np.random.default_rng(1).integers(0, 256, (3, 3, size, size), dtype=np.uint8)
    images = torch.from_numpy(pixels)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaled = (images / 255 - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1)
    torch.save(network.state_dict(), tmp_path / "whole.pt")
    without = {key: value for key, value in network.state_dict().items() if not key.lower().startswith("aux")}
    torch.save(without, tmp_path / "without.pt")  # as saved from a network without auxiliary heads
    network.fc = torch.nn.Identity()
    with torch.no_grad():
        expected = network(scaled)
        for weights in ("whole.pt", "without.pt"):
            found = ImageFeatures(size, load_backbone(name, tmp_path / weights))(images)
            # With random weights the features can be tiny.
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_pixels_are_normalized_as_in_the_training_of_the_weights(tmp_path: Path) -> None:
    torch.save(models.get_model("efficientnet_v2_s").state_dict(), tmp_path / "s.pt")
    backbone = load_backbone("efficientnet_v2_s", tmp_path / "s.pt")
    assert pytest.approx((float(backbone.mean[0]), float(backbone.std[0]))) == (255 * 0.485, 255 * 0.229)
    # These weights were trained on pixels in -1 to 1. The network itself takes a second to build and does not matter.
    large = Backbone("efficientnet_v2_l", torch.nn.Identity())
    assert large(torch.tensor([0.0, 255.0]).reshape(2, 1, 1, 1).expand(2, 3, 1, 1)).tolist() == [[-1] * 3, [1] * 3]


# Cases of one network follow each other, so that `weights_of` and `loaded_once` make it once.
@pytest.mark.slow
@pytest.mark.usefixtures("loaded_once")
@pytest.mark.parametrize(
    ("name", "options", "size", "expected"),
    [
        ("alexnet", {}, 64, 4096),
        ("alexnet", {}, 32, "Output size is too small; choose another image size, usual for it is 224"),
        ("densenet121", {}, 32, 1024),
        ("mnasnet0_5", {}, 32, 1280),  # its state dict has a version
        ("swin_t", {}, 32, 768),
        ("vit_b_32", {}, 224, 768),
        ("vit_b_32", {}, 64, "Expected 224 but got 64!; choose another image size, usual for it is 224"),
        ("vit_b_32", {"image_size": 64}, 64, 768),
        ("vit_b_32", {"image_size": 64}, 32, "choose another image size, usual for it is 64"),
        ("inception_v3", {"init_weights": False}, 64, "choose another image size, usual for it is 299"),
        ("maxvit_t", {}, 64, "choose another image size, usual for it is 224"),
    ],
)
def test_backbone_gives_features_or_names_its_usual_image_size(
    name: str, options: dict[str, int], size: int, expected: int | str, weights_of: WeightsOf, tmp_path: Path
) -> None:
    for number in range(2):
        Image.new("RGB", (40, 40), (99 * number, 200, 9)).save(tmp_path / f"{number}.png")
    (tmp_path / "a.csv").write_text("filename,species\n0.png,a\n1.png,b\n")
    annotations = read_annotations(tmp_path / "a.csv", tmp_path)
    recipe = FeatureRecipe(size, name, weights_of(name, **options))
    if isinstance(expected, int):
        x = load_images(annotations, recipe, tmp_path / "cache").table.x
        assert x.shape == (2, expected)
        assert np.abs(x[0] - x[1]).max() > 0
        return
    with pytest.raises(DataError) as error:
        load_images(annotations, recipe, tmp_path / "cache", on_image=lambda *_: pytest.fail("an image was decoded"))
    assert expected in str(error.value)
    assert str(error.value).isprintable()
    assert error.value.parameter == "image_size"
    assert not (tmp_path / "cache").exists()


def test_backbone_with_features_that_are_not_finite_is_refused(resnet18: Path, tmp_path: Path) -> None:
    weights = tmp_path / "infinite.pt"
    torch.save({**torch.load(resnet18), "conv1.weight": torch.full((64, 3, 7, 7), torch.inf)}, weights)
    Image.new("RGB", (40, 40), (9, 99, 200)).save(tmp_path / "0.png")
    (tmp_path / "a.csv").write_text("filename,species\n0.png,a\n")
    with pytest.raises(DataError, match="the backbone resnet18 must give finite numbers"):
        load_images(
            read_annotations(tmp_path / "a.csv", tmp_path), FeatureRecipe(32, "resnet18", weights), tmp_path / "c"
        )
