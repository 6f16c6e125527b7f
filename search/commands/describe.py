"""`insects-describe`: a table or images, described on the terminal, in a folder and in MLflow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from insects.errors import StoreError
from insects.spiral import builtin_tables
from insects.splits import digest_of
from insects.tables.columns import Columns
from insects.tables.describe import describe
from insects.tables.labelled import ColumnChoice
from insects.tables.raw import RawTable, read_raw_table
from search.reports.descriptions import FigureFormat, write_figures, write_table, write_texts
from search.store.store import Store
from search.study.data import IMAGE_TARGET, TABLE_TARGET, ImageRequest, image_columns, read_image_set
from search.system.files import temporary_folder
from search.tracking.client import configure_mlflow, mlflow_client, mlflow_errors
from search.tracking.tags import IMAGES_DIGEST_TAG, ROLE_TAG, TABLE_DIGEST_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from insects.images.describe import ImageDescription
    from insects.images.features import ImageSet
    from insects.tables.text_files import TableFormat

EXPERIMENT = "insects-describe"
_DIGEST_LENGTH = 36  # MLflow's limit


@dataclass(frozen=True)
class DescribeRequest:
    """The data to describe.

    Attributes:
        train: The table's file; None: the built-in table.
        target: The label column; None: `labels`, or `species` of images.
        features: The input columns; None: all others.
        categorical: Input columns that are categories, whatever they hold.
        numeric: Input columns that are numbers, whatever they hold.
        drop: Columns that are not used.
        group: The column of what several rows belong to; it is no input.
        table_format: How a text file is read.
        images: The images, in place of a table.
        figures: What the figures of `--out` are written as.
    """

    train: Path | None
    target: str | None
    features: tuple[str, ...] | None
    categorical: tuple[str, ...]
    numeric: tuple[str, ...]
    drop: tuple[str, ...]
    group: str | None
    table_format: TableFormat | None
    images: ImageRequest | None
    figures: FigureFormat = "png"


class Described(Protocol):
    """Data that can be described.

    Attributes:
        role: The role of its run in MLflow.
        digest_tag: The tag by which the run is found.
        source: The name of the data.
        digest: Hex SHA-256 of its content.
        counts: Counts of its parts, the same for the same digest.
    """

    @property
    def role(self) -> str: ...
    @property
    def digest_tag(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def counts(self) -> dict[str, int]: ...

    def text(self) -> str:
        """Return the description for a terminal."""

    def write(self, folder: Path, figures: FigureFormat = "png") -> None:
        """Write text, numbers and figures into a folder, made if absent. An OSError passes unchanged."""


def read_described(request: DescribeRequest, cache: Path) -> Described:
    """Read the data to describe.

    Args:
        request: The data.
        cache: The folder of image features, made when it is needed.

    Raises:
        DataError: The files cannot be used.
        StoreError: The cache cannot be written.
    """
    if request.images is not None:
        from insects.images.describe import describe_images

        target = request.target or IMAGE_TARGET
        images = read_image_set(request.images, target, cache, skip_bad=True)
        return DescribedImages(images, describe_images(images, *image_columns(request.images, target)))
    if request.train is None:
        table = builtin_tables()[0]
        return DescribedTable(RawTable.from_table(table, Columns.of_numbers(table.features)))
    target = request.target or TABLE_TARGET
    choice = ColumnChoice(target, request.features, request.categorical, request.numeric, request.drop, request.group)
    return DescribedTable(read_raw_table(request.train, choice, request.table_format))


def write_described(described: Described, folder: Path, figures: FigureFormat) -> None:
    """Write description and figures into a folder, made if absent.

    Args:
        described: The data.
        folder: The folder.
        figures: What the figures are written as.

    Raises:
        StoreError: The folder cannot be written.
    """
    try:
        described.write(folder, figures)
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror}; choose another --out") from error


def log_described(described: Described, store: Store) -> None:
    """Log description and figures to MLflow: one run for the same data, however often it is described.

    Args:
        described: The data.
        store: The store whose MLflow gets the run.

    Raises:
        StoreError: MLflow does not answer.
    """
    configure_mlflow(store)
    client = mlflow_client(store)
    with temporary_folder() as folder:
        described.write(folder)
        with mlflow_errors(store.tracking_uri):
            run = _open_run(client, store, described)
            if run.info.status != "FINISHED":  # the status is set last, so a finished run is complete
                _log(client, run, described, str(folder))


def _open_run(client: MlflowClient, store: Store, described: Described) -> Run:
    """Return the run of the same data, complete or not, else a new one."""
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        experiment_id = client.create_experiment(EXPERIMENT, store.artifact_location(EXPERIMENT))
    else:
        experiment_id = experiment.experiment_id
        if experiment.lifecycle_stage == "deleted":  # --log asks for a run in it, and its name cannot be taken again
            client.restore_experiment(experiment_id)
    found = client.search_runs([experiment_id], f"tags.`{described.digest_tag}` = '{described.digest}'", max_results=1)
    if found:
        return found[0]
    tags = {ROLE_TAG: described.role, described.digest_tag: described.digest}
    return client.create_run(experiment_id, tags=tags, run_name=Path(described.source).name)


def _log(client: MlflowClient, run: Run, described: Described, artifacts: str) -> None:
    """Bring a run to its end, whatever it has already: MLflow keeps equal values and files once."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    run_id, source = run.info.run_id, described.source
    dataset = Dataset(source, described.digest[:_DIGEST_LENGTH], "local", source)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "description")])])
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in described.counts.items()])
    client.log_artifacts(run_id, artifacts)
    client.set_terminated(run_id)


@dataclass(frozen=True)
class DescribedTable:
    """A table as it is in its file; see `Described`."""

    table: RawTable
    role = "table"
    digest_tag = TABLE_DIGEST_TAG

    @property
    def source(self) -> str:
        return self.table.source

    @property
    def digest(self) -> str:
        """See `Described`. Missing cells and cells with text are both not-a-number: their counts tell them apart."""
        table = self.table
        categories = tuple((category.name, *category.levels) for category in table.categories)
        names = (table.features, (table.target,), table.classes, *categories)
        codes = tuple(category.code.astype(np.int64) for category in table.categories)
        return digest_of(names, (table.x, table.y, table.missing, table.other, *codes))

    @property
    def counts(self) -> dict[str, int]:
        table = self.table
        features = len(table.features) + len(table.categories)
        counts = {"rows": len(table.y), "features": features, "classes": len(table.classes)}
        missing = int(table.missing.sum()) + sum(int(np.sum(column.code < 0)) for column in table.categories)
        return counts | {"missing": missing, "not_numeric": int(table.other.sum())}

    def text(self) -> str:
        return describe(self.table).text()

    def write(self, folder: Path, figures: FigureFormat = "png") -> None:
        write_table(folder, self.table, figures)


@dataclass(frozen=True)
class DescribedImages:
    """Annotated images; see `Described`."""

    images: ImageSet
    description: ImageDescription
    role = "images"
    digest_tag = IMAGES_DIGEST_TAG

    @property
    def source(self) -> str:
        return self.description.source

    @property
    def digest(self) -> str:
        """See `Described`. Neither names nor order count; of bad files their number does."""
        annotations, table = self.images.annotations, self.images.table
        groups = annotations.groups or [None] * len(table.y)
        labels = [table.classes[code] for code in table.y]
        rows: list[Any] = sorted(map(repr, zip(self.images.digests, labels, groups, strict=True)))
        return hashlib.sha256(repr((rows, len(self.description.bad))).encode()).hexdigest()

    @property
    def counts(self) -> dict[str, int]:
        description = self.description
        counts = {"images": description.images, "classes": len(description.classes)}
        return counts | {"groups": len(description.groups), "bad": len(description.bad)}

    def text(self) -> str:
        return self.description.text()

    def write(self, folder: Path, figures: FigureFormat = "png") -> None:
        from insects.images.samples import choose_samples, shown_pixels
        from insects.plots.images import sample_grid

        write_texts(folder, self.description.text(), self.description.as_dict())
        images, chosen = self.images, choose_samples(self.images)
        y_N, classes = images.table.y, images.table.classes
        grid = sample_grid(shown_pixels(images, chosen), y_N[chosen], y_N, classes)
        write_figures(folder, {"sample_images.png": grid}, figures)
