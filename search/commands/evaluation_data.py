"""What a model is evaluated on: the rows of a table, from a file or from the model's own search."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from insects.errors import DataError, StoreError
from insects.mlp import Floats
from insects.splits import Labels, Table, table_digest
from search.registry.load import LoadedModel
from search.store.store import Store, reaching
from search.system.temporary import temporary_folder
from search.tracking.held_out import HELD_OUT, load_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mlflow import MlflowClient

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class RowsRequest:
    """Which rows, as asked for on the command line; the names are the options', and the command has held them to go
    together. Neither test nor images: those that the model's own search held out."""

    test: Path | None = None
    target: str | None = None
    images: Path | None = None
    image_dir: Path | None = None
    filename: str | None = None
    skip_bad_images: bool = False


class Rows(Protocol):
    """Labelled rows; N of them.

    source: what to call them. digest: hex SHA-256 of what they are. y: `(N,)` int32, numbers of the model's classes.
    groups: N names of what they show, where several show the same thing; None: each stands for itself.
    """

    @property
    def source(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def y(self) -> Labels: ...
    @property
    def groups(self) -> tuple[str, ...] | None: ...

    def logits(self, model: LoadedModel) -> Floats:
        """What the model makes of them, `(N, C)`."""

    def figures(self, model: LoadedModel, logits_NC: Floats, title: str) -> dict[str, Figure]:
        """Figures of that, by file name."""


def read_rows(store: Store, client: MlflowClient, model: LoadedModel, request: RowsRequest) -> Rows:
    """The rows asked for.

    Raises: DataError: they do not fit the model. StoreError: MLflow is away, or does not know the model's search.
    """
    if model.images is not None:
        from search.commands.evaluation_images import read_images

        return read_images(store, client, model, request)
    if request.images or request.image_dir or request.skip_bad_images:
        raise DataError(f"{model.name} version {model.version} takes a table, not images: give one with --test")
    if request.test is None:
        with file_of_search(store, client, model, HELD_OUT) as path:
            return TableRows(load_table(path))
    from insects.tables.labelled import read_rows_like

    return TableRows(read_rows_like(request.test, model.features, model.classes, request.target or "labels"))


@contextmanager
def file_of_search(store: Store, client: MlflowClient, model: LoadedModel, name: str) -> Iterator[Path]:
    """A file of the run of the search that made the model, for as long as the block lasts.

    Raises: StoreError: MLflow is away, or has no such file.
    """
    if not model.search_run:
        raise StoreError(
            f"{model.name} version {model.version} does not say which search made it: give rows with --test or --images"
        )
    with temporary_folder() as folder:
        with reaching(store.tracking_uri):
            if name not in {entry.path for entry in client.list_artifacts(model.search_run)}:
                raise StoreError(
                    f"{name} is gone from the files of run {model.search_run} at {store.shown_uri}: bring it again "
                    "with insects-search --sync, or give rows with --test or --images"
                )
            path = Path(client.download_artifacts(model.search_run, name, str(folder)))
        yield path


@dataclass(frozen=True)
class TableRows:
    """Rows of a table; see `Rows`."""

    table: Table
    groups: tuple[str, ...] | None = None

    @property
    def source(self) -> str:
        """See `Rows`."""
        return self.table.source

    @property
    def digest(self) -> str:
        """See `Rows`."""
        return table_digest(self.table)

    @property
    def y(self) -> Labels:
        """See `Rows`."""
        return self.table.y

    def logits(self, model: LoadedModel) -> Floats:
        """See `Rows`."""
        return predict(model, self.table.x)

    def figures(self, model: LoadedModel, logits_NC: Floats, title: str) -> dict[str, Figure]:
        """See `Rows`."""
        from insects.plots import evaluation_boundary

        x, y = self.table.x, self.table.y
        names, title = (model.features, model.classes), f"{title} on test rows"
        return {"decision_boundary.png": evaluation_boundary(*names, lambda x_NF: predict(model, x_NF), x, y, title)}


def predict(model: LoadedModel, rows: Floats | NDArray[np.uint8], at_once: int = ROWS_AT_ONCE) -> Floats:
    """Logits `(N, C)` of raw rows `(N, F)`, or of images `(N, 3, H, W)`, some at a time."""
    import torch

    with torch.no_grad():
        parts = [
            model.module(torch.from_numpy(np.ascontiguousarray(rows[start : start + at_once]))).numpy()
            for start in range(0, len(rows), at_once)
        ]
    return np.concatenate(parts)
