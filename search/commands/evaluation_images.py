"""Labelled image files that a model is evaluated on. Shapes: N images, S image size, C classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from insects.errors import DataError
from insects.images.annotations import Annotations, read_annotations
from insects.images.features import check_faults
from insects.images.files import read_files
from insects.images.footprint import images_at_once
from insects.images.reading import Pixels, read_pixels
from insects.images.samples import SHOWN_SIZE
from insects.mlp import Floats
from insects.splits import Labels
from search.commands.evaluation_data import RowsRequest, file_of_search, predict
from search.registry.load import LoadedModel
from search.store.store import Store, reaching
from search.tracking.held_out import FOLDER_TAG, GROUP, HELD_OUT_IMAGES, LABEL, SOURCE_TAG, load_digests

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient


@dataclass(frozen=True)
class ImageRows:
    """Images; see `search.commands.evaluation_data.Rows`.

    annotations: whose classes are the model's. pixels: `(N, 3, S, S)`. skipped: bad files that were left out.
    """

    annotations: Annotations
    digests: tuple[str, ...]
    pixels: Pixels
    skipped: int

    @property
    def source(self) -> str:
        """See `Rows`."""
        return self.annotations.source + (f", bad images left out: {self.skipped}" if self.skipped else "")

    @property
    def digest(self) -> str:
        """See `Rows`. Neither names nor order count."""
        pairs = sorted(zip(self.digests, self.y.tolist(), strict=True))
        return hashlib.sha256(repr(pairs).encode()).hexdigest()

    @property
    def y(self) -> Labels:
        """See `Rows`."""
        return self.annotations.y

    @property
    def groups(self) -> tuple[str, ...] | None:
        """See `Rows`."""
        return self.annotations.groups

    def logits(self, model: LoadedModel) -> Floats:
        """See `Rows`."""
        assert model.images is not None
        return predict(model, self.pixels, images_at_once(model.images["size"]))

    def figures(self, model: LoadedModel, logits_NC: Floats, title: str) -> dict[str, Figure]:
        """See `Rows`. The projection is of the pixels; a backbone's features are inside of the model."""
        from insects.plots import evaluation_boundary
        from insects.plots.images import mistakes_grid

        assert model.images is not None
        folder, files = self.annotations.folder, self.annotations.files

        def shown(rows: NDArray[np.intp]) -> Pixels:
            return read_pixels(folder, [files[row] for row in rows], SHOWN_SIZE)[0]

        names = (model.classes, f"{title}: mistakes", "test images")
        figures = {"mistakes.png": mistakes_grid(shown, self.y, logits_NC, *names)}
        if model.images["backbone"] is None:
            at_once = images_at_once(model.images["size"])
            x_NF = self.pixels.reshape(len(self.pixels), -1).astype(np.float32)
            values = tuple(f"value {number}" for number in range(x_NF.shape[1]))

            def from_plane(x_GF: Floats) -> Floats:
                pixels = x_GF.round().clip(0, 255).astype(np.uint8)
                return predict(model, pixels.reshape(-1, *self.pixels.shape[1:]), at_once)

            figures["decision_boundary.png"] = evaluation_boundary(
                values, model.classes, from_plane, x_NF, self.y, f"{title} on test images", "image"
            )
        return figures


def read_images(store: Store, client: MlflowClient, model: LoadedModel, request: RowsRequest) -> ImageRows:
    """The images asked for.

    Raises: DataError: they cannot be read, are not those that the search held out, or do not fit the model.
    """
    if request.test is not None:
        raise DataError(f"{model.name} version {model.version} takes images: give them with --images and --image-dir")
    expected: dict[str, str] = {}
    if request.images is not None:
        assert request.image_dir is not None, "the command asks for it"
        columns = (request.target or "species", None, request.filename or "filename")
        annotations = read_annotations(request.images, request.image_dir, *columns, classes=model.classes)
    else:
        annotations, expected = _held_out(store, client, model, request)
    assert model.images is not None
    return _read(annotations, expected, model.images["size"], request.skip_bad_images)


def _held_out(
    store: Store, client: MlflowClient, model: LoadedModel, request: RowsRequest
) -> tuple[Annotations, dict[str, str]]:
    """The rows that the model's search held out, and the digests that their files had."""
    with file_of_search(store, client, model, HELD_OUT_IMAGES) as path:
        with reaching(store.tracking_uri):
            run = client.get_run(model.search_run)
        folder = request.image_dir or Path(run.data.tags[FOLDER_TAG])
        expected, grouped = load_digests(path)
        group = GROUP if grouped else None
        annotations = read_annotations(path, folder, target=LABEL, group=group, classes=model.classes)
    return replace(annotations, source=f"held-out images of {run.data.tags[SOURCE_TAG]}"), expected


def _read(annotations: Annotations, expected: dict[str, str], size: int, skip_bad: bool) -> ImageRows:
    """Pixels of the files; those that are not what the search held out are bad ones."""
    folder, files = annotations.folder, annotations.files
    found, faults = read_files(folder, files)
    digests = [None if file is None else file.digest for file in found]
    pixels, damaged = read_pixels(folder, files, size, digests=digests)
    for row, name in enumerate(files):
        if name in expected and digests[row] not in (None, expected[name]):
            faults[row] = ValueError(
                "is not the file that the search held out; restore it, or give other images with --images"
            )
    faults = {**damaged, **faults}
    check_faults(annotations, tuple(f"{annotations.where(row)} {faults[row]}" for row in sorted(faults)), skip_bad)
    kept = [row for row in range(len(files)) if row not in faults]
    rows = replace(
        annotations,
        lines=tuple(annotations.lines[row] for row in kept),
        files=tuple(files[row] for row in kept),
        y=annotations.y[kept],
        groups=None if annotations.groups is None else tuple(annotations.groups[row] for row in kept),
    )
    return ImageRows(rows, tuple(str(digests[row]) for row in kept), pixels[kept], len(faults))
