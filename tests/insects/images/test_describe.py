"""Descriptions of annotated images: classes, groups, sizes, formats, duplicates and bad files."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from insects.images.annotations import read_annotations
from insects.images.describe import ImageDescription, describe_images
from insects.images.features import FeatureRecipe, load_images

FRAMES = (  # file, species, specimen, size, mode
    ("a1.png", "ant", "a", (40, 30), "RGB"),
    ("a2.png", "ant", "a", (40, 30), "L"),
    ("b1.jpg", "ant", "b", (20, 20), "RGB"),
    ("c1.png", "bee", "c", (40, 30), "RGB"),
)


@pytest.fixture
def described(tmp_path: Path) -> ImageDescription:
    lines = ["filename,species,sample"]
    for shade, (name, species, specimen, size, mode) in enumerate(FRAMES):
        Image.new(mode, size, 40 * shade if mode == "L" else (40 * shade, 0, 9)).save(tmp_path / name)
        lines.append(f"{name},{species},{specimen}")
    (tmp_path / "c2.png").write_bytes((tmp_path / "c1.png").read_bytes())
    (tmp_path / "bad.png").write_bytes((tmp_path / "a1.png").read_bytes()[:60])
    lines += ["c2.png,bee,c", "bad.png,bee,d", "gone.png,bee,d"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    annotations = read_annotations(tmp_path / "a.csv", tmp_path, group="sample")
    images = load_images(annotations, FeatureRecipe(8), tmp_path / "cache", skip_bad_images=True)
    return describe_images(images, "species", "sample")


def test_classes_groups_and_files_are_counted_without_the_bad_ones(described: ImageDescription) -> None:
    assert described.images == 5
    assert described.classes == (("ant", 3, 2), ("bee", 2, 1))
    assert described.groups == (("a", "ant", 2), ("b", "ant", 1), ("c", "bee", 2))
    assert described.sizes == (("40 x 30", 4), ("20 x 20", 1))
    assert described.kinds == (("PNG, RGB", 3), ("PNG, L", 1), ("JPEG, RGB", 1))
    assert described.copies == 2
    assert [line.partition(": image ")[2].partition(" ")[0] for line in described.bad] == ["'bad.png'", "'gone.png'"]


def test_text_holds_all_counts(described: ImageDescription) -> None:
    lines = [" ".join(line.split()) for line in described.text().splitlines()]
    for line in (
        "5 images, 2 classes, 3 groups",
        "class (species) images share groups",
        "ant 3 60.0 % 2",
        "group (sample) class images",
        "b ant 1",
        "40 x 30 4",
        "PNG, L 1",
        "images with identical files: 2",
        "bad images, not counted above: 2",
    ):
        assert line in lines
    assert any("line 7: image 'bad.png' is damaged" in line for line in lines)


def test_dictionary_holds_bytes_classes_and_groups(described: ImageDescription, tmp_path: Path) -> None:
    kept = [name for name, *_ in FRAMES] + ["c2.png"]
    content = described.as_dict()
    assert content["size"] == sum((tmp_path / name).stat().st_size for name in kept)
    assert content["classes"]["bee"] == {"images": 2, "groups": 1}
    assert content["groups"]["c"] == {"class": "bee", "images": 2}


def test_description_of_independent_images_counts_no_specimens(tmp_path: Path) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    Image.new("RGB", (9, 9), "white").save(tmp_path / "b.png")
    (tmp_path / "a.csv").write_text("filename,species\na.png,ant\nb.png,bee\n")
    images = load_images(read_annotations(tmp_path / "a.csv", tmp_path), FeatureRecipe(8), tmp_path / "cache")
    text = describe_images(images, "species", None).text()
    assert "group" not in text
    assert "bad images, not counted above: none" in text
