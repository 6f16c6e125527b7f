"""One run of `insects-describe`: a table, and its description on the terminal, in a folder, in MLflow."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from insects.describe import describe
from insects.errors import StoreError
from insects.raw_table import RawTable, raw, read_raw_table
from insects.spiral import builtin_tables
from insects.splits import Table, table_digest
from search.comparison import write_description
from search.store import Store, reaching
from search.tags import ROLE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "insects-describe"
TABLE_TAG = "insects.table"


def read(train: Path | None, target: str, features: Sequence[str] | None) -> RawTable:
    """The table of the options: a CSV file as it is, or the built-in one.

    Raises: DataError: the file is no table, or has no such column.
    """
    return raw(builtin_tables()[0], target) if train is None else read_raw_table(train, target, features)


def as_text(table: RawTable) -> str:
    """What the terminal shows."""
    return describe(table).text()


def write(table: RawTable, folder: Path) -> None:
    """Write description and figures into a folder, made if absent.

    Raises: StoreError: it cannot be written.
    """
    try:
        write_description(folder, table)
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror}; choose another --out") from error


def log(table: RawTable, store: Store) -> None:
    """Log description and figures to MLflow: one run a table, however often it is described.

    Raises: StoreError: MLflow is away or broken.
    """
    client = store.client()
    with tempfile.TemporaryDirectory() as folder, reaching(store.tracking_uri):
        write_description(Path(folder), table)
        run_id = _run(client, store, table)
        client.log_artifacts(run_id, folder)
        client.set_terminated(run_id)


def _run(client: MlflowClient, store: Store, table: RawTable) -> str:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    with np.errstate(over="ignore"):
        x = table.x.astype(np.float32)
    digest = table_digest(Table(table.features, table.classes, x, table.y, table.source))
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        experiment_id = client.create_experiment(EXPERIMENT, store.artifact_location(EXPERIMENT))
    else:
        experiment_id = experiment.experiment_id
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment_id)
    found = client.search_runs([experiment_id], f"tags.`{TABLE_TAG}` = '{digest}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    tags = {ROLE_TAG: "table", TABLE_TAG: digest}
    run_id = str(client.create_run(experiment_id, tags=tags, run_name=Path(table.source).name).info.run_id)
    dataset = Dataset(table.source, digest[:36], "local", table.source)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "description")])])
    counts = {"rows": len(table.y), "features": len(table.features), "classes": len(table.classes)}
    counts |= {"missing": int(table.missing.sum()), "not_numeric": int(table.other.sum())}
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in counts.items()])
    return run_id
