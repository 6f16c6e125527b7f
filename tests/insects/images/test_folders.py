"""A folder with one folder of images a class."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from insects.errors import DataError
from insects.images.folders import folder_annotations, image_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("fly/b.png", "bee/a.png", "bee/wings/c.JPG", "fly/.hidden.png", ".trash/x.png", "bee/notes.txt"):
        path = tmp_path / "insects" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            Image.new("RGB", (4, 4)).save(path, "PNG")
    return tmp_path / "insects"


def test_class_of_an_image_is_the_folder_that_it_is_in(folder: Path) -> None:
    annotations = folder_annotations(folder)
    assert annotations.files == ("bee/a.png", "bee/wings/c.JPG", "fly/b.png")
    assert annotations.classes == ("bee", "fly")
    assert annotations.y.tolist() == [0, 0, 1]
    assert annotations.groups is None
    assert annotations.where(2) == "insects: image 'fly/b.png'"


def test_classes_of_a_model_give_their_numbers(folder: Path) -> None:
    assert folder_annotations(folder, ("ant", "bee", "fly")).y.tolist() == [1, 1, 2]
    with pytest.raises(DataError, match=r"insects: a folder must be named like one of the classes trained on \('ant'"):
        folder_annotations(folder, ("ant", "bee"))


def test_folders_named_by_numbers_are_sorted_as_numbers(tmp_path: Path) -> None:
    for name in ("10", "9"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (4, 4)).save(tmp_path / name / "a.png")
    assert folder_annotations(tmp_path).classes == ("9", "10")


def test_image_beside_the_folders_is_refused(folder: Path) -> None:
    Image.new("RGB", (4, 4)).save(folder / "loose.png")
    with pytest.raises(DataError, match=r"insects must hold one folder for each class, found the image 'loose\.png'"):
        folder_annotations(folder)
    assert "loose.png" in image_files(folder)  # to label them they need no folder


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        folder_annotations(tmp_path)
