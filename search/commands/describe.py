"""One run of `insects-describe`: a table or images, described on the terminal, in a folder, in MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from insects.errors import StoreError
from search.commands.described import Described, read_described_images, read_described_table
from search.store.store import Store, reaching
from search.system.temporary import temporary_folder
from search.tracking.tags import ROLE_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from search.study.data import ImageRequest

EXPERIMENT = "insects-describe"
DIGEST_TAG = {"table": "insects.table_digest", "images": "insects.images_digest"}


def read(
    train: Path | None, images: ImageRequest | None, target: str | None, features: Sequence[str] | None, cache: Path
) -> Described:
    """What the options ask for.

    Raises: DataError: the files are not fit for it. StoreError: the cache of images cannot be written.
    """
    if images is not None:
        return read_described_images(images, target or "species", cache)
    return read_described_table(train, target or "labels", features)


def write(described: Described, folder: Path) -> None:
    """Write description and figures into a folder, made if absent.

    Raises: StoreError: it cannot be written.
    """
    try:
        described.write(folder)
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror}; choose another --out") from error


def log(described: Described, store: Store) -> None:
    """Log description and figures to MLflow: one run for the same data, however often it is described.

    Raises: StoreError: MLflow is away or broken.
    """
    client = store.client()
    with temporary_folder() as folder:
        described.write(folder)
        with reaching(store.tracking_uri):
            run = _run(client, store, described)
            if run.info.status != "FINISHED":  # set last, so nothing of a finished run is missing
                _complete(client, run, described, str(folder))


def _run(client: MlflowClient, store: Store, described: Described) -> Run:
    """The run of the same data, whole or not, else a new one."""
    tag, digest = DIGEST_TAG[described.role], described.digest
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        experiment_id = client.create_experiment(EXPERIMENT, store.artifact_location(EXPERIMENT))
    else:
        experiment_id = experiment.experiment_id
        if experiment.lifecycle_stage == "deleted":
            client.restore_experiment(experiment_id)
    found = client.search_runs([experiment_id], f"tags.`{tag}` = '{digest}'", max_results=1)
    if found:
        return found[0]
    tags = {ROLE_TAG: described.role, tag: digest}
    return client.create_run(experiment_id, tags=tags, run_name=Path(described.source).name)


def _complete(client: MlflowClient, run: Run, described: Described, artifacts: str) -> None:
    """Bring a run to its end, whatever of it is there: MLflow keeps once what is the same twice."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param

    run_id, source = run.info.run_id, described.source
    dataset = Dataset(source, described.digest[:36], "local", source)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "description")])])
    client.log_batch(run_id, params=[Param(key, str(value)) for key, value in described.counts.items()])
    client.log_artifacts(run_id, artifacts)
    client.set_terminated(run_id)
