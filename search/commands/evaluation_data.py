"""The rows or images that a model is evaluated on: a file of the user's, or the test data of the model's own search.

Shapes: N rows or images, F features, S image size, C classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from insects.encoder import standard_encoder
from insects.errors import DataError, StoreError
from insects.images.annotations import Annotations, read_annotations
from insects.images.features import check_faults
from insects.images.files import read_files
from insects.images.folders import folder_annotations
from insects.images.footprint import images_at_once
from insects.images.reading import Pixels, read_pixels
from insects.images.samples import SHOWN_SIZE
from insects.mlp import Floats
from insects.row_hashes import Hashes, row_keys
from insects.splits import Labels, Table, table_digest
from search.registry.load import LoadedModel, ModelContent
from search.registry.predictor import program_logits
from search.reports.descriptions import FigureFormat
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.data import image_key
from search.system.files import temporary_folder
from search.system.terminal import say
from search.tracking.client import connect, mlflow_errors
from search.tracking.database_reads import find_run_file
from search.tracking.held_out import (
    GROUP,
    LABEL,
    TEST_IMAGES,
    TEST_ROWS,
    TRAINED_ON,
    count_known,
    load_digests,
    load_table,
)
from search.tracking.tags import IMAGE_FOLDER_TAG, IMAGE_SOURCE_TAG

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

    from insects.tables.text_files import TableFormat


@dataclass(frozen=True)
class EvaluationRequest:
    """The rows or images that are asked for; with neither `test` nor `images`, the test data of the model's search.

    Attributes:
        test: A table.
        target: The label column of the table or the annotations; None: the model's own.
        table_format: How a text file is read.
        images: The annotations of images, or a folder with one folder of images for each class.
        image_dir: The folder that the file names are in.
        filename: The column of the file names.
        skip_bad_images: Leave out files that cannot be read.
        figures: What the figures are written as.
    """

    test: Path | None = None
    target: str | None = None
    table_format: TableFormat | None = None
    images: Path | None = None
    image_dir: Path | None = None
    filename: str | None = None
    skip_bad_images: bool = False
    figures: FigureFormat = "png"


class EvaluationData(Protocol):
    """Labelled rows or images.

    Attributes:
        source: Their name.
        digest: Hex SHA-256 of their content.
        y: `(N,)` int32, numbers of the model's classes.
        keys: `(N,)`, by which training rows are recognized.
        groups: N names of what they show, where several show the same thing; None: each stands for itself.
    """

    @property
    def source(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def y(self) -> Labels: ...
    @property
    def keys(self) -> Hashes: ...
    @property
    def groups(self) -> tuple[str, ...] | None: ...

    def logits(self, model: ModelContent) -> Floats:
        """Return what the model predicts, `(N, C)`."""

    def coded_rows(self, model: LoadedModel, study: StudyFolder) -> Floats | None:
        """Return the rows as the model's study codes them, `(N, K)`; None: the study has no features of the images."""

    def figures(self, model: ModelContent, logits_NC: Floats, title: str) -> dict[str, Figure]:
        """Draw figures of the predictions, by file name."""


def read_evaluation_data(store: Store, model: LoadedModel, request: EvaluationRequest) -> EvaluationData:
    """Read the rows or images that are asked for.

    Args:
        store: The store of the model.
        model: The model.
        request: The rows or images.

    Raises:
        DataError: They do not fit the model.
        StoreError: MLflow does not answer, or lacks the test data of the model's search.
    """
    name = f"{model.name} version {model.version}"
    if model.images is not None:
        if request.test is not None:
            raise DataError(f"{name} takes images: give them with --images and --image-dir")
        return _read_images(store, model, request)
    if request.images or request.image_dir or request.skip_bad_images:
        raise DataError(f"{name} takes a table, not images: give one with --test")
    if request.test is None:
        with _file_of_search(store, model, TEST_ROWS) as path:
            return EvaluationTable(load_table(path))
    from insects.tables.labelled import read_rows_like

    assert model.table is not None, "a model takes images or a table"
    target = request.target or model.target
    table, notes = read_rows_like(request.test, model.table.columns, model.classes, target, request.table_format)
    for note in notes:
        say(note[0].upper() + note[1:])
    return EvaluationTable(table)


def count_seen(store: Store, client: MlflowClient, model: LoadedModel, data: EvaluationData) -> int | None:
    """Count the rows or images that the search of a model trained on or validated with.

    Args:
        store: The store of the model.
        client: MLflow's client.
        model: The model.
        data: The rows or images.

    Returns:
        Their number; None if it is not known: the run of the search has no such file, or rows of the data repeat.
    """
    if not model.search_run:
        return None
    with temporary_folder() as folder, mlflow_errors(store.tracking_uri):
        if TRAINED_ON not in {entry.path for entry in client.list_artifacts(model.search_run)}:
            return None
        return count_known(data.keys, Path(client.download_artifacts(model.search_run, TRAINED_ON, str(folder))))


@dataclass(frozen=True)
class EvaluationTable:
    """Rows of a table; see `EvaluationData`."""

    table: Table
    groups: tuple[str, ...] | None = None

    @property
    def source(self) -> str:
        return self.table.source

    @property
    def digest(self) -> str:
        return table_digest(self.table)

    @property
    def y(self) -> Labels:
        return self.table.y

    @property
    def keys(self) -> Hashes:
        return row_keys(self.table.x, self.table.y)

    def logits(self, model: ModelContent) -> Floats:
        return program_logits(model.program, self.table.x)

    def coded_rows(self, model: LoadedModel, study: StudyFolder) -> Floats:
        return self.table.x

    def figures(self, model: ModelContent, logits_NC: Floats, title: str) -> dict[str, Figure]:
        from insects.plots import evaluation_boundaries

        assert model.table is not None
        return evaluation_boundaries(
            model.table.encoder,
            model.classes,
            lambda x_NF: program_logits(model.program, x_NF),
            self.table.x,
            self.table.y,
            f"{title} on test rows",
            columns=model.table.shown,
        )


@dataclass(frozen=True)
class EvaluationImages:
    """Images; see `EvaluationData`.

    Attributes:
        annotations: The annotations, whose classes are the model's.
        digests: SHA-256 of each file.
        pixels: `(N, 3, S, S)`.
        skipped: Bad files that were left out.
    """

    annotations: Annotations
    digests: tuple[str, ...]
    pixels: Pixels
    skipped: int

    @property
    def source(self) -> str:
        return self.annotations.source + (f", bad images left out: {self.skipped}" if self.skipped else "")

    @property
    def digest(self) -> str:
        """See `EvaluationData`. Neither names nor order count."""
        pairs = sorted(zip(self.digests, self.y.tolist(), strict=True))
        return hashlib.sha256(repr(pairs).encode()).hexdigest()

    @property
    def y(self) -> Labels:
        return self.annotations.y

    @property
    def keys(self) -> Hashes:
        return np.array([image_key(digest) for digest in self.digests], np.uint64)

    @property
    def groups(self) -> tuple[str, ...] | None:
        return self.annotations.groups

    def logits(self, model: ModelContent) -> Floats:
        assert model.images is not None
        return program_logits(model.program, self.pixels, images_at_once(model.images["size"]))

    def coded_rows(self, model: LoadedModel, study: StudyFolder) -> Floats | None:
        """See `EvaluationData`. With a backbone only the study's own test images have features outside the model."""
        manifest = study.images()
        assert manifest is not None
        if manifest.backbone is None:
            return self._pixel_values
        place = {digest: row for row, (_, digest) in enumerate(manifest.test)}
        if not place.keys() >= set(self.digests):
            return None
        return study.data().test.x[[place[digest] for digest in self.digests]]

    @property
    def _pixel_values(self) -> Floats:
        return self.pixels.reshape(len(self.pixels), -1).astype(np.float32)

    def figures(self, model: ModelContent, logits_NC: Floats, title: str) -> dict[str, Figure]:
        """See `EvaluationData`. There is no boundary with a backbone, whose features are inside the model."""
        from insects.plots.images import mistakes_grid

        assert model.images is not None
        folder, files = self.annotations.folder, self.annotations.files

        def shown(rows: NDArray[np.intp]) -> Pixels:
            return read_pixels(folder, [files[row] for row in rows], SHOWN_SIZE)[0]

        names = (model.classes, f"{title}: mistakes", "test images")
        figures = {"mistakes.png": mistakes_grid(shown, self.y, logits_NC, *names)}
        if model.images["backbone"] is None:
            figures |= self._boundary(model, images_at_once(model.images["size"]), title)
        return figures

    def _boundary(self, model: ModelContent, at_once: int, title: str) -> dict[str, Figure]:
        from insects.plots import evaluation_boundaries

        x_NF = self._pixel_values
        encoder = standard_encoder([f"value {number}" for number in range(x_NF.shape[1])], x_NF)

        def from_plane(x_GF: Floats) -> Floats:
            pixels = x_GF.round().clip(0, 255).astype(np.uint8)
            return program_logits(model.program, pixels.reshape(-1, *self.pixels.shape[1:]), at_once)

        return evaluation_boundaries(
            encoder, model.classes, from_plane, x_NF, self.y, f"{title} on test images", "image"
        )


@contextmanager
def _file_of_search(store: Store, model: LoadedModel, name: str) -> Iterator[Path]:
    """Find a file of the run of the model's search, or download it for as long as the block lasts."""
    if not model.search_run:
        raise StoreError(
            f"{model.name} version {model.version} does not say which search made it: give rows with --test or --images"
        )
    here = find_run_file(store, model.search_run, name)
    if here is not None:
        yield here
        return
    client = connect(store)
    with temporary_folder() as folder:
        with mlflow_errors(store.tracking_uri):
            if name not in {entry.path for entry in client.list_artifacts(model.search_run)}:
                raise StoreError(
                    f"{name} is no longer among the files of run {model.search_run} at {store.shown_uri}: "
                    "give rows with --test or --images"
                )
            path = Path(client.download_artifacts(model.search_run, name, str(folder)))
        yield path


def _read_images(store: Store, model: LoadedModel, request: EvaluationRequest) -> EvaluationImages:
    assert model.images is not None
    expected: dict[str, str] = {}
    if request.images is not None:
        annotations = _annotations(model, request.images, request)
    else:
        annotations, expected = _images_of_search(store, model, request)
    return _with_pixels(annotations, expected, model.images["size"], request.skip_bad_images)


def _annotations(model: LoadedModel, images: Path, request: EvaluationRequest) -> Annotations:
    if images.is_dir():
        return folder_annotations(images, model.classes)
    assert request.image_dir is not None, "the command line requires it"
    columns = (request.target or model.target, None, request.filename or "filename")
    return read_annotations(images, request.image_dir, *columns, classes=model.classes)


def _images_of_search(
    store: Store, model: LoadedModel, request: EvaluationRequest
) -> tuple[Annotations, dict[str, str]]:
    """Return the test images of the model's search, and the SHA-256 that their files had."""
    with _file_of_search(store, model, TEST_IMAGES) as path:
        client = connect(store)
        with mlflow_errors(store.tracking_uri):
            run = client.get_run(model.search_run)
        folder = request.image_dir or Path(run.data.tags[IMAGE_FOLDER_TAG])
        expected, grouped = load_digests(path)
        group = GROUP if grouped else None
        annotations = read_annotations(path, folder, target=LABEL, group=group, classes=model.classes)
    return replace(annotations, source=f"held-out images of {run.data.tags[IMAGE_SOURCE_TAG]}"), expected


def _with_pixels(annotations: Annotations, expected: dict[str, str], size: int, skip_bad: bool) -> EvaluationImages:
    """Read the files. A file that has changed since the search is a bad one."""
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
        lines=tuple(annotations.lines[row] for row in kept if annotations.lines),
        files=tuple(files[row] for row in kept),
        y=annotations.y[kept],
        groups=None if annotations.groups is None else tuple(annotations.groups[row] for row in kept),
    )
    return EvaluationImages(rows, tuple(str(digests[row]) for row in kept), pixels[kept], len(faults))
