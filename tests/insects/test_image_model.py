"""The model that takes raw images: as one exported program, of any shape of image, and with a backbone."""

from __future__ import annotations

import io
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from insects.errors import DataError
from insects.images.annotations import read_annotations
from insects.images.backbone import Backbone, load_backbone, weights_digest
from insects.images.features import FeatureRecipe, load_images
from insects.images.reading import decode
from insects.mlp import Floats, Shape, parameter_count
from insects.model import ImageFeatures, ImageMLP, StandardizedMLP, build_module
from insects.params import TrialParams

PARAMS = TrialParams(depth=1, width=4, lr=0.1, batch_size=1)
SIZE = 16


def mlp(features: int) -> StandardizedMLP:
    shape = Shape(features, 3)
    generator = np.random.default_rng(0)
    weights: Floats = generator.normal(size=parameter_count(PARAMS, shape)).astype(np.float32)
    return build_module(weights, PARAMS, shape, np.full(features, 120, np.float32), np.full(features, 60, np.float32))


def random_images(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))


def test_images_of_the_stated_size_are_their_own_features() -> None:
    images = random_images(5, 3, SIZE, SIZE)
    features = ImageFeatures(SIZE, None)(images)
    torch.testing.assert_close(features, images.flatten(1).float(), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(90, 120), (120, 90), (77, 77)])
def test_raw_images_give_the_features_of_the_file_reader(shape: tuple[int, int]) -> None:
    coarse = np.random.default_rng(2).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    raw = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]
    features = ImageFeatures(SIZE, None)(raw).numpy().reshape(3, SIZE, SIZE)
    assert (features == features.round()).all()
    assert np.abs(features - decode(buffer.getvalue(), SIZE)).max() <= 1  # Pillow rounds after each of two passes


@pytest.mark.parametrize("example", [(4, 3, 30, 40), (4, 3, SIZE, SIZE), (4, 3, 9, 9)])
def test_exported_program_takes_any_batch_and_any_shape_of_image(example: tuple[int, ...]) -> None:
    model = ImageMLP(ImageFeatures(SIZE, None), mlp(3 * SIZE * SIZE)).eval()
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


def small_backbone(tmp_path: Path) -> Path:
    from torchvision import models

    torch.manual_seed(0)
    path = tmp_path / "resnet18.pt"
    torch.save(models.resnet18(num_classes=7).state_dict(), path)
    return path


def test_backbone_features_come_from_the_weights_file_and_are_cached(tmp_path: Path) -> None:
    weights = small_backbone(tmp_path)
    images = tmp_path / "images"
    images.mkdir()
    for number in range(4):
        Image.new("RGB", (40, 40), (60 * number, 200 - 40 * number, 9)).save(images / f"{number}.png")
    (tmp_path / "a.csv").write_text("filename,species\n0.png,a\n1.png,a\n2.png,b\n3.png,b\n")
    annotations = read_annotations(tmp_path / "a.csv", images)
    recipe = FeatureRecipe(32, "resnet18", weights)
    found = load_images(annotations, recipe, tmp_path / "cache")
    assert found.table.x.shape == (4, 512)
    features = ImageFeatures(32, load_backbone("resnet18", weights)).eval()
    expected = features(torch.from_numpy(found.pixels)).numpy()
    np.testing.assert_allclose(found.table.x, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()}
    np.testing.assert_array_equal(load_images(annotations, recipe, tmp_path / "cache").table.x, found.table.x)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").iterdir()} == before
    assert len(before) == 2


def test_wrong_backbone_and_weights_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = small_backbone(tmp_path)
    (tmp_path / "text.pt").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({1: torch.zeros(1)}, tmp_path / "numbers.pt")
    for name, file, message in (
        (
            "resnet19",
            weights,
            "must be a classification network of torchvision that ends in a linear layer, found 'resnet19'",
        ),
        ("resnet50", weights, "does not fit --backbone resnet50"),
        ("resnet18", tmp_path / "none.pt", "cannot read --weights"),
        ("resnet18", tmp_path, "must be a regular file"),
        ("resnet18", Path("/dev/zero"), "/dev/zero must be a regular file"),
        ("resnet18", tmp_path / "text.pt", "is no state dict of tensors"),
        ("resnet18", tmp_path / "list.pt", "is no state dict of tensors"),
        ("resnet18", tmp_path / "numbers.pt", "is no state dict of tensors"),
    ):
        with pytest.raises(DataError, match=message) as error:
            load_backbone(name, file)
        assert str(error.value).isprintable()
    # An address that refuses at once stands for a machine without a network.
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "_opener", None)  # it keeps the proxies of the first request for good
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(DataError, match="/dev/zero must be a regular file"):
        weights_digest("resnet18", Path("/dev/zero"))
    with pytest.raises(DataError, match=r"the weights of --backbone resnet18 cannot be downloaded: .*--weights"):
        load_backbone("resnet18", None)


@pytest.mark.parametrize(("name", "size"), [("googlenet", 64), ("inception_v3", 80)])
def test_features_of_a_network_that_scales_its_input_anew_are_those_of_torchvision(
    name: str, size: int, tmp_path: Path
) -> None:
    from torchvision import models

    torch.manual_seed(0)
    network = models.get_model(name, transform_input=True, init_weights=False).eval()  # as with torchvision's weights
    images = random_images(3, 3, size, size)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    scaled = (images / 255 - mean.reshape(3, 1, 1)) / std.reshape(3, 1, 1)
    torch.save(network.state_dict(), tmp_path / "whole.pt")
    without = {key: value for key, value in network.state_dict().items() if not key.lower().startswith("aux")}
    torch.save(without, tmp_path / "without.pt")  # as saved of a network made for use
    network.fc = torch.nn.Identity()
    with torch.no_grad():
        expected = network(scaled)
        for weights in ("whole.pt", "without.pt"):
            found = ImageFeatures(size, load_backbone(name, tmp_path / weights))(images)
            # Of random weights the features can be tiny.
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_pixels_are_scaled_as_the_weights_are_used_to(tmp_path: Path) -> None:
    from torchvision import models

    torch.save(models.get_model("efficientnet_v2_s").state_dict(), tmp_path / "s.pt")
    backbone = load_backbone("efficientnet_v2_s", tmp_path / "s.pt")
    assert pytest.approx((float(backbone.mean[0]), float(backbone.std[0]))) == (255 * 0.485, 255 * 0.229)
    # Its weights were trained on pixels in -1 to 1. The network itself takes a second to make, and does not matter.
    large = Backbone("efficientnet_v2_l", torch.nn.Identity())
    assert large(torch.tensor([0.0, 255.0]).reshape(2, 1, 1, 1).expand(2, 3, 1, 1)).tolist() == [[-1] * 3, [1] * 3]


@pytest.mark.parametrize(
    ("name", "options", "size", "dimension"),
    [
        ("alexnet", {}, 64, 4096),
        ("densenet121", {}, 32, 1024),
        ("mnasnet0_5", {}, 32, 1280),  # its state dict knows its version
        ("swin_t", {}, 32, 768),
        ("vit_b_32", {}, 224, 768),
        ("vit_b_32", {"image_size": 64}, 64, 768),
        ("squeezenet1_1", {}, 224, "--backbone must be a classification network of torchvision that ends in a linear"),
        ("alexnet", {}, 32, "Output size is too small; choose another --image-size, usual for it is 224"),
        ("inception_v3", {}, 64, "choose another --image-size, usual for it is 299"),
        ("vit_b_32", {}, 64, "Expected 224 but got 64!; choose another --image-size, usual for it is 224"),
        ("vit_b_32", {"image_size": 64}, 32, "choose another --image-size, usual for it is 64"),
        ("maxvit_t", {}, 64, "choose another --image-size, usual for it is 224"),
    ],
)
def test_backbone_gives_features_or_says_which_image_size_it_takes(
    name: str, options: dict[str, int], size: int, dimension: int | str, tmp_path: Path
) -> None:
    from torchvision import models

    weights = tmp_path / "weights.pt"
    if "inception" in name:
        options = {"init_weights": False}
    torch.save(models.get_model(name, weights=None, **options).state_dict(), weights)
    for number in range(2):
        Image.new("RGB", (40, 40), (99 * number, 200, 9)).save(tmp_path / f"{number}.png")
    (tmp_path / "a.csv").write_text("filename,species\n0.png,a\n1.png,b\n")
    annotations, recipe = read_annotations(tmp_path / "a.csv", tmp_path), FeatureRecipe(size, name, weights)
    if isinstance(dimension, int):
        x = load_images(annotations, recipe, tmp_path / "cache").table.x
        assert x.shape == (2, dimension)
        assert np.abs(x[0] - x[1]).max() > 0
        return
    with pytest.raises(DataError) as error:
        load_images(annotations, recipe, tmp_path / "cache", on_image=lambda *_: pytest.fail("an image was decoded"))
    assert dimension in str(error.value)
    assert str(error.value).isprintable()
    assert not (tmp_path / "cache").exists()


def test_weights_without_a_backbone_and_sizes_out_of_bounds_are_refused() -> None:
    with pytest.raises(DataError, match="name it with --backbone"):
        FeatureRecipe(weights=Path("x"))
    with pytest.raises(DataError, match="the image size must be in 8 to 1024 pixels, found 4"):
        FeatureRecipe(size=4)


def test_backbone_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    weights = small_backbone(tmp_path)
    torch.save({**torch.load(weights), "conv1.weight": torch.full((64, 3, 7, 7), torch.inf)}, weights)
    Image.new("RGB", (40, 40), (9, 99, 200)).save(tmp_path / "0.png")
    (tmp_path / "a.csv").write_text("filename,species\n0.png,a\n")
    with pytest.raises(DataError, match="--backbone resnet18 must give finite numbers"):
        load_images(
            read_annotations(tmp_path / "a.csv", tmp_path), FeatureRecipe(32, "resnet18", weights), tmp_path / "c"
        )
