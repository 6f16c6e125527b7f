"""Searches on image files, on the demo set."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from insects.errors import StoreError
from insects.images.features import FeatureRecipe
from insects.images.reading import read_pixels
from insects.mlp import Floats
from search.registry import export
from search.store.image_manifest import ImageManifest
from search.store.study_folder import StudyFolder
from search.study import data
from search.study.data import DataRequest, ImageRequest, load_data
from tests.support.commands import digests, invoke
from tests.support.image_search import TINY, Searched

FIGURES = {"sample_images.png", "mistakes.png", "boundary_atlas.png", "optimization_history.png"}


def test_specimens_stay_whole_and_the_search_says_so(searched: Searched) -> None:
    assert "48 groups stay whole: 36 in training (216 images" in searched.stderr
    record = searched.folder.images()
    assert record is not None
    specimen = {row["filename"]: row["sample"] for row in searched.annotations()}
    valid, test = ({specimen[name] for name in names} for names in (record.valid, [name for name, _ in record.test]))
    assert (len(record.valid), len(record.test), len(valid), len(test)) == (48, 24, 8, 4)
    assert valid & test == set()
    assert record.counts == [72, 72, 72, 72]


def test_fingerprint_holds_the_recipe_and_the_search_run_has_the_figures(searched: Searched) -> None:
    fingerprint = searched.folder.fingerprint
    assert fingerprint["data"]["images"] == {"size": 16, "backbone": None, "weights": None}
    assert "torchvision" not in fingerprint["libraries"]
    (folder,) = searched.artifacts("search")
    assert FIGURES | {"test_images.csv"} <= set(digests(folder))
    assert "test_rows.npz" not in digests(folder)
    for name in FIGURES:
        with Image.open(folder / name) as picture:
            picture.load()
    description = (folder / "images" / "description.txt").read_text()
    assert "288 images, 4 classes, 48 groups" in description
    assert json.loads((folder / "images" / "description.json").read_text())["group"] == "sample"


def test_input_example_is_of_the_stated_size_but_never_large(searched: Searched) -> None:
    record = searched.folder.images()
    assert record is not None
    usual = export._image_example(record)
    assert usual.shape == (8, 3, 16, 16)
    assert (usual == read_pixels(searched.demo / "images", record.valid[:8], 16)[0]).all()
    # MLflow writes the example as text, twice: 8 images of 1024 by 1024 would be 240 MB.
    assert export._image_example(replace(record, size=1024)).shape == (8, 3, 224, 224)


def test_kept_names_are_those_of_the_kept_rows(searched: Searched) -> None:
    """The figures find the images that the model gets wrong by these names, and the evaluation its files."""
    record, kept = searched.folder.images(), searched.folder.data()
    assert record is not None

    def features(names: list[str]) -> Floats:
        return read_pixels(searched.demo / "images", names, 16)[0].reshape(len(names), -1).astype(np.float32)

    np.testing.assert_array_equal(kept.test.x, features([name for name, _ in record.test]))
    standardized = (features(record.valid) - kept.sample.encoder.mean) / kept.sample.encoder.std
    np.testing.assert_allclose(kept.sample.valid_x, standardized, rtol=1e-5, atol=1e-5)
    species = {row["filename"]: row["species"] for row in searched.annotations()}
    labels = [kept.sample.classes[code] for code in kept.sample.valid_y]
    assert labels == [species[name] for name in record.valid]


def test_split_seed_draws_other_specimens(searched: Searched) -> None:
    files = (searched.demo / "insects.csv", searched.demo / "images")
    images = ImageRequest(*files, "sample", "filename", FeatureRecipe(16), skip_bad=False)

    def held_out(split_seed: int) -> list[tuple[str, str]]:
        request = DataRequest(None, "species", split_seed=split_seed, images=images)
        manifest = load_data(request, searched.store / "images").manifest
        assert isinstance(manifest, ImageManifest)
        return manifest.test

    record = searched.folder.images()
    assert record is not None
    assert sorted(held_out(0)) == sorted(map(tuple, record.test))
    assert sorted(held_out(1)) != sorted(held_out(0))


def test_second_search_decodes_nothing_and_knows_the_same_study(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an image was decoded")

    monkeypatch.setattr("insects.images.features.read_pixels", refuse)
    again = invoke(monkeypatch, "search", "--images", "demo", *TINY, *searched.place, "--json")
    assert again.exit_code == 0, again.stderr
    assert json.loads(again.stdout)["study_digest"] == searched.answer["study_digest"]
    assert json.loads(again.stdout)["study"] == searched.answer["study"]


def test_search_on_own_images_warns_without_groups_and_names_or_skips_bad_files(
    searched: Searched, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(searched.demo / "images", tmp_path / "photos"))
    rows = searched.annotations()[:72]
    (folder / rows[5]["filename"]).write_bytes(b"no image")
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(["kind,photo", *(f"{row['species']},{row['filename']}" for row in rows)]))
    columns = ("--target", "kind", "--filename", "photo")
    mine = ("--images", str(table), "--image-dir", str(folder), *columns, *TINY, "--store", str(store))
    refused = invoke(monkeypatch, "search", *mine, "--model-name", "mine")
    assert (refused.exit_code, refused.stdout) == (1, "")
    bad = f"{table}, line 7: image '{rows[5]['filename']}' is not an image in an accepted format ("
    assert refused.stderr.startswith(f"Error: {bad}")
    assert refused.stderr.endswith("; save it in one, or leave it out; or leave bad images out (--skip-bad-images)\n")
    done = invoke(monkeypatch, "search", *mine, "--model-name", "mine", "--skip-bad-images", "--trials", "1")
    assert done.exit_code == 0, done.stderr
    assert f"Bad images left out: 1; the first: {bad}" in done.stderr
    assert "File names look like frames of the same specimen" in done.stderr


def test_incomplete_demo_set_is_drawn_anew(searched: Searched, tmp_path: Path) -> None:
    shutil.copytree(searched.demo, tmp_path / "demo")
    csv_path, images = tmp_path / "demo" / "insects.csv", tmp_path / "demo" / "images"
    csv_path.unlink()
    next(images.iterdir()).write_bytes(b"half")
    assert data._demo(tmp_path / "demo") == (csv_path, images)
    assert digests(tmp_path / "demo") == digests(searched.demo)


def test_demo_set_that_cannot_be_drawn_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot draw images into .*; choose another --store"):
        data._demo(tmp_path / "file")


def test_search_on_a_backbone_registers_one_program_and_refuses_other_weights(
    searched: Searched, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from torchvision import models

    torch.manual_seed(0)
    network = models.get_model("resnet18", weights=None)
    weights = tmp_path / "weights.pt"
    torch.save(network.state_dict(), weights)
    files = ("--images", str(searched.demo / "insects.csv"), "--image-dir", str(searched.demo / "images"))
    backbone = ("--backbone", "resnet18", "--weights", str(weights), "--group", "sample")
    size = ("--image-size", "32", "--trials", "1")
    asked = ("search", *files, *backbone, *TINY, *size, "--study", "b", "--store", str(store))
    done = invoke(monkeypatch, *asked, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["upload_error"] is None
    fingerprint = StudyFolder(store / "trials" / "b").fingerprint
    assert fingerprint["data"]["images"]["weights"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert "torchvision" in fingerprint["libraries"]
    evaluated = invoke(monkeypatch, "evaluate", "--best", "--store", str(store), "--json")
    assert evaluated.exit_code == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["total"] == 24
    torch.save(models.get_model("resnet18", weights=None).state_dict(), weights)
    other = invoke(monkeypatch, *asked)
    assert other.exit_code == 1
    assert "study b cannot go on with other settings: " in other.stderr
    assert "data images weights was " in other.stderr
