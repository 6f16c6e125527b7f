"""A small search on the demo set, and its results."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from insects import mlp
from insects.images.reading import read_pixels
from search.store.study_folder import StudyFolder
from tests.support.commands import client_of
from tests.support.studies import model_of

TINY = (
    "--trials", "2", "--epochs", "8", "--width", "8:16", "--depth", "1", "--lr", "1e-3:3e-3", "--image-size", "16",
    "--finalists", "1", "--folds", "2",
)  # fmt: skip


class Searched:
    """A store with one study on the demo set.

    Args:
        store: The store.
        answer: The object that the search printed.
        stderr: Its messages.
    """

    def __init__(self, store: Path, answer: dict[str, Any], stderr: str) -> None:
        self.store, self.answer, self.stderr = store, answer, stderr
        self.demo = store / "images" / "demo"
        self.folder = StudyFolder(store / "trials" / answer["study"])
        self.place = ("--store", str(store))

    def artifacts(self, role: str) -> list[Path]:
        """The artifact folders of the runs of a role."""
        client = client_of(self.store)
        experiment = client.get_experiment_by_name(self.answer["study"])
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], f"tags.insects.role = '{role}'")
        return [Path(run.info.artifact_uri.removeprefix("file://")) for run in runs]

    def annotations(self) -> list[dict[str, str]]:
        with open(self.demo / "insects.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def logits(self, files: list[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """The registered model's logits by numpy, on files of the demo set."""
        model, sample = model_of(self.folder, self.answer), self.folder.data().sample
        x_NF = read_pixels(self.demo / "images", files, 16)[0].reshape(len(files), -1).astype(np.float32)
        return mlp.mean_logits(
            model.weights, model.params, sample.shape, (x_NF - sample.encoder.mean) / sample.encoder.std
        )
