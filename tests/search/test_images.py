"""Searching and evaluating on image files, end to end, on the drawn set."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from insects import mlp
from insects.errors import StoreError
from insects.images.reading import read_pixels
from search import image_data
from search.results import StudyFolder
from tests.search.commands import digests, invoke, own

TINY = ("--trials", "2", "--epochs", "8", "--width", "8:16", "--depth", "1", "--lr", "1e-3:3e-3", "--image-size", "16")
FIGURES = {"sample_images.png", "mistakes.png", "boundary_atlas.png", "optimization_history.png"}


class Searched:
    """A store with one study on the drawn set."""

    def __init__(self, store: Path, answer: dict[str, Any], stderr: str) -> None:
        self.store, self.answer, self.stderr = store, answer, stderr
        self.demo = store / "images" / "demo"
        self.folder = StudyFolder(store / "trials" / answer["study"])
        self.place = ("--store", str(store))

    def artifacts(self, role: str) -> list[Path]:
        """Folders of the files of the runs of a role."""
        client = own(self.store).client()
        experiment = client.get_experiment_by_name(self.answer["study"])
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], f"tags.insects.role = '{role}'")
        return [Path(run.info.artifact_uri.removeprefix("file://")) for run in runs]

    def annotations(self) -> list[dict[str, str]]:
        with open(self.demo / "insects.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def logits(self, files: list[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Of the best trial by numpy, on files of the demo."""
        result, sample = self.folder.load(self.answer["best"]["number"]), self.folder.data().sample
        assert result is not None
        x_NF = read_pixels(self.demo / "images", files, 16)[0].reshape(len(files), -1).astype(np.float32)
        return mlp.logits(result.weights, result.params, sample.shape, (x_NF - sample.mean) / sample.std)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Searched:
    store = tmp_path_factory.mktemp("images")
    shutil.copy(empty_database, store)
    with pytest.MonkeyPatch.context() as patch:
        done = invoke(patch, "search", "--images", "demo", *TINY, "--store", str(store), "--json")
    assert done.exit_code == 0, done.stderr
    return Searched(store, json.loads(done.stdout), done.stderr)


def evaluate(monkeypatch: pytest.MonkeyPatch, searched: Searched, *arguments: str) -> dict[str, Any]:
    done = invoke(monkeypatch, "evaluate", "--best", *searched.place, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_specimens_stay_whole_and_the_user_is_told(searched: Searched) -> None:
    assert "48 groups stay whole: 36 in training (216 images" in searched.stderr
    record = searched.folder.images()
    assert record is not None
    specimen = {row["filename"]: row["sample"] for row in searched.annotations()}
    valid, test = ({specimen[name] for name in names} for names in (record.valid, [name for name, _ in record.test]))
    assert (len(record.valid), len(record.test), len(valid), len(test)) == (48, 24, 8, 4)
    assert valid & test == set()
    assert record.counts == [72, 72, 72, 72]


def test_identity_names_the_recipe_and_its_run_carries_the_figures(searched: Searched) -> None:
    identity = searched.folder.identity()
    assert identity["data"]["images"] == {"size": 16, "backbone": None, "weights": None}
    assert "torchvision" not in identity["libraries"]
    (folder,) = searched.artifacts("search")
    assert FIGURES | {"held_out.csv"} <= set(digests(folder))
    assert "held_out.npz" not in digests(folder)
    for name in FIGURES:
        with Image.open(folder / name) as picture:
            picture.load()
    description = (folder / "images" / "description.txt").read_text()
    assert "288 images, 4 classes, 48 groups" in description
    assert json.loads((folder / "images" / "description.json").read_text())["group"] == "sample"


def test_evaluation_on_the_held_out_files_equals_a_recomputation_and_is_logged(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = evaluate(monkeypatch, searched)
    record, held_out = searched.folder.images(), searched.folder.data().held_out
    assert record is not None
    predicted = searched.logits([name for name, _ in record.test]).argmax(axis=1)
    assert (answer["total"], answer["correct"]) == (24, int(np.sum(predicted == held_out.y)))
    assert answer["test"] == f"held-out images of {searched.demo / 'insects.csv'}"
    assert answer["test_looks"] == 1
    (folder,) = searched.artifacts("evaluation")
    assert set(digests(folder)) == {"confusion_matrix.png", "decision_boundary.png", "mistakes.png", "report.txt"}


def test_same_images_from_a_file_of_the_users_are_the_same_look(
    searched: Searched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = evaluate(monkeypatch, searched)
    record = searched.folder.images()
    assert record is not None
    names = {name for name, _ in record.test}
    rows = [(row["species"], f"copy/{row['filename']}") for row in searched.annotations() if row["filename"] in names]
    (tmp_path / "copy").mkdir()
    for name in names:
        shutil.copy(searched.demo / "images" / name, tmp_path / "copy")
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(["kind,file", *(",".join(row) for row in rows)]))
    mine = ("--images", str(table), "--image-dir", str(tmp_path), "--target", "kind", "--filename", "file")
    after = evaluate(monkeypatch, searched, *mine)
    assert (after["correct"], after["total"]) == (before["correct"], before["total"])
    assert after["test_looks"] == before["test_looks"] + 1


def test_registered_model_takes_raw_images_of_any_size_and_batch(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    own(searched.store).client()
    uri = "models:/insects-mlp@best"
    record = searched.folder.images()
    assert record is not None
    names = [name for name, _ in record.test][:3]
    small = read_pixels(searched.demo / "images", names, 16)[0]
    module = mlflow.pytorch.load_model(uri)
    np.testing.assert_allclose(module(torch.from_numpy(small)).detach(), searched.logits(names), rtol=1e-4, atol=1e-4)
    about = mlflow.models.get_model_info(uri).metadata or {}
    assert about["images"] == {"size": 16, "backbone": None}
    assert about["classes"][0] == "Lata imaginaria"
    frames = []
    for name in names:
        with Image.open(searched.demo / "images" / name) as picture:
            frames.append(np.asarray(picture).transpose(2, 0, 1))
    large = mlflow.pyfunc.load_model(uri).predict(np.stack(frames))
    assert large.shape == (3, 4)
    assert large.dtype == np.float32
    np.testing.assert_allclose(large, searched.logits(names), atol=0.3)  # Pillow rounds pixels once more than torch
    assert module(torch.from_numpy(small[:1])).shape == (1, 4)


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


def test_own_table_without_groups_is_warned_of_and_bad_files_are_named_or_left_out(
    searched: Searched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(searched.demo / "images", tmp_path / "photos"))
    rows = searched.annotations()[:72]
    (folder / rows[5]["filename"]).write_bytes(b"no image")
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(["kind,photo", *(f"{row['species']},{row['filename']}" for row in rows)]))
    columns = ("--target", "kind", "--filename", "photo")
    mine = ("--images", str(table), "--image-dir", str(folder), *columns, *TINY, *searched.place)
    refused = invoke(monkeypatch, "search", *mine, "--model-name", "mine")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith(f"Error: {table}, line 7: image '{rows[5]['filename']}' is no image")
    done = invoke(monkeypatch, "search", *mine, "--model-name", "mine", "--skip-bad-images", "--trials", "1")
    assert done.exit_code == 0, done.stderr
    assert f"Bad images left out: 1; the first: {table}, line 7" in done.stderr
    assert "File names look like frames of the same specimen" in done.stderr


def test_changed_or_missing_held_out_file_is_named(
    searched: Searched, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    record = searched.folder.images()
    assert record is not None
    folder = Path(shutil.copytree(searched.demo / "images", tmp_path / "photos"))
    (first, _), (second, _) = record.test[:2]
    shutil.copy(folder / record.valid[0], folder / first)
    arguments = ("evaluate", "--best", *searched.place, "--image-dir", str(folder))
    changed = invoke(monkeypatch, *arguments)
    assert changed.exit_code == 1
    assert f"image '{first}' is not the file that the search held out" in changed.stderr
    (folder / second).unlink()
    left = evaluate(monkeypatch, searched, "--image-dir", str(folder), "--skip-bad-images")
    assert left["total"] == 22
    assert left["test"].endswith(", bad images left out: 2")


MISTAKES = {
    ("--image-size", "16"): "--image-size is about images: add --images.",
    ("--images", "x.csv"): "add --image-dir.",
    ("--images", "demo", "--train", "x.csv"): "--train is about a table",
    ("--images", "demo", "--features", "a,b"): "--features is about a table",
    ("--images", "demo", "--test", "x.csv"): "--test is about a table",
    ("--images", "demo", "--group", "sample"): "--images demo knows its folder and columns",
    ("--images", "demo", "--target", "species"): "--images demo knows its folder and columns",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_options_that_do_not_go_together_are_refused(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = invoke(monkeypatch, "search", *arguments, "--store", str(tmp_path))
    assert done.exit_code == 2
    assert MISTAKES[arguments] in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--test", "rows.csv"), "takes images: give them with --images and --image-dir"),
        (("--image-dir", "nowhere"), "there is no image folder 'nowhere'; name it with --image-dir"),
    ],
)
def test_rows_that_are_not_for_an_image_model_are_refused(
    arguments: tuple[str, ...], message: str, searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = invoke(monkeypatch, "evaluate", "--best", *searched.place, *arguments)
    assert done.exit_code == 1
    assert message in done.stderr


def test_demo_that_was_not_drawn_to_its_end_is_drawn_anew(tmp_path: Path) -> None:
    csv_path, images = image_data._demo(tmp_path)
    csv_path.unlink()
    next(images.iterdir()).write_bytes(b"half")
    assert image_data._demo(tmp_path) == (csv_path, images)
    assert read_pixels(images, sorted(path.name for path in images.iterdir()), 8)[1] == {}


def test_store_that_cannot_hold_the_drawn_set_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot draw images into .*; choose another --store"):
        image_data._demo(tmp_path / "file")


def test_search_on_a_backbone_registers_one_program_and_holds_it_to_its_weights(
    searched: Searched, store: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from torchvision import models

    torch.manual_seed(0)
    network = models.get_model("resnet18", weights=None)
    weights = tmp_path / "weights.pt"
    torch.save(network.state_dict(), weights)
    files = ("--images", str(searched.demo / "insects.csv"), "--image-dir", str(searched.demo / "images"))
    backbone = ("--backbone", "resnet18", "--weights", str(weights), "--group", "sample")
    asked = (
        "search",
        *files,
        *backbone,
        *TINY,
        "--image-size",
        "32",
        "--trials",
        "1",
        "--study",
        "b",
        "--store",
        str(store),
    )
    done = invoke(monkeypatch, *asked, "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["trouble"] is None
    identity = StudyFolder(store / "trials" / "b").identity()
    assert identity["data"]["images"]["weights"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert "torchvision" in identity["libraries"]
    evaluated = invoke(monkeypatch, "evaluate", "--best", "--store", str(store), "--json")
    assert evaluated.exit_code == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["total"] == 24
    torch.save(models.get_model("resnet18", weights=None).state_dict(), weights)
    other = invoke(monkeypatch, *asked)
    assert other.exit_code == 1
    assert "study b cannot go on with other settings: " in other.stderr
    assert "data images weights was " in other.stderr
