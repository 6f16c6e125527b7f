"""`insects-evaluate` on images, and the registered model of a search on images."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from PIL import Image

from insects.baselines import baseline_scores
from insects.images.annotations import Annotations
from insects.images.reading import read_pixels
from search.commands.evaluation_data import EvaluationImages
from search.store.study_folder import StudyFolder
from tests.support.commands import client_of, digests, invoke
from tests.support.image_search import Searched


def evaluate(monkeypatch: pytest.MonkeyPatch, searched: Searched, *arguments: str) -> dict[str, Any]:
    done = invoke(monkeypatch, "evaluate", "--best", *searched.place, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_report_on_the_test_files_equals_a_recomputation_and_is_logged(
    searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = evaluate(monkeypatch, searched)
    record, kept = searched.folder.images(), searched.folder.data()
    test, sample = kept.test, kept.sample
    assert record is not None
    predicted = searched.logits([name for name, _ in record.test]).argmax(axis=1)
    assert (answer["total"], answer["correct"]) == (24, int(np.sum(predicted == test.y)))
    assert answer["test"] == f"held-out images of {searched.demo / 'insects.csv'}"
    assert answer["test_looks"] == 1
    (folder,) = searched.artifacts("evaluation")
    x, y = np.concatenate([sample.train_x, sample.valid_x]), np.concatenate([sample.train_y, sample.valid_y])
    expected = baseline_scores(x, y, sample.encoder.transform(test.x), test.y, 4)
    assert [entry["name"] for entry in answer["baselines"]] == [score.name for score in expected]
    for entry, score in zip(answer["baselines"], expected, strict=True):
        assert (entry["accuracy"], entry["loss"]) == pytest.approx((score.accuracy, score.loss))
    figures = {"calibration.png", "confusion_matrix.png", "decision_boundary.png", "mistakes.png"}
    assert set(digests(folder)) == figures | {"report.txt"}


def test_images_before_a_backbone_have_the_features_of_the_studys_own_test_images(
    searched: Searched, tmp_path: Path
) -> None:
    study = StudyFolder(Path(shutil.copytree(searched.folder.path, tmp_path / searched.folder.name)))
    content = json.loads((study.path / "images.json").read_text())
    (study.path / "images.json").write_text(json.dumps({**content, "backbone": "resnet18"}))
    digests_of_test = [digest for _, digest in content["test"]]
    annotations, pixels = (
        Annotations("some.csv", study.path, (), (), (), np.zeros(0, np.int32), None),
        np.zeros(0, np.uint8),
    )
    model: Any = None
    for order in ([2, 0, 5], [0]):
        images = EvaluationImages(annotations, tuple(digests_of_test[row] for row in order), pixels, 0)
        np.testing.assert_array_equal(images.coded_rows(model, study), study.data().test.x[order])
    other = EvaluationImages(annotations, (digests_of_test[0], "0" * 64), pixels, 0)
    assert other.coded_rows(model, study) is None


def test_same_images_from_another_file_count_as_a_second_evaluation(
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
    client_of(searched.store)
    uri = "models:/insects-mlp@best"
    record = searched.folder.images()
    assert record is not None
    names = [name for name, _ in record.test][:3]
    small = read_pixels(searched.demo / "images", names, 16)[0]
    module = mlflow.pytorch.load_model(uri)
    np.testing.assert_allclose(module(torch.from_numpy(small)).detach(), searched.logits(names), rtol=1e-4, atol=1e-4)
    about = mlflow.models.get_model_info(uri).metadata or {}
    assert about["images"] == {"target": "species", "size": 16, "backbone": None}
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


def test_changed_or_missing_test_file_is_named(
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
    assert left["groups"] == len(set(record.test_groups or ()))
    assert left["test"].endswith(", bad images left out: 2")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--test", "rows.csv"),
            "insects-mlp version 1 takes images: give them with --images and --image-dir",
        ),
        (
            ("--image-dir", "nowhere"),
            "there is no image folder 'nowhere'; choose another (--image-dir)",
        ),
    ],
    ids=["rows", "no folder"],
)
def test_data_that_an_image_model_cannot_take_is_one_line(
    arguments: tuple[str, ...], message: str, searched: Searched, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = invoke(monkeypatch, "evaluate", "--best", *searched.place, *arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"Error: {message}\n")
