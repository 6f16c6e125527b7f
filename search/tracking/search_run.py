"""The run of a search in MLflow: what was searched, on which data, and the rows it never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.reports.comparison import COMPARED_TAG, IMAGES, TABLE
from search.store.store import reaching
from search.store.study_folder import StudyFolder
from search.system.temporary import temporary_folder
from search.tracking import run_values
from search.tracking.held_out import FOLDER_TAG, HELD_OUT, HELD_OUT_IMAGES, SOURCE_TAG, save_images, save_table
from search.tracking.run_lookup import StudyRuns
from search.tracking.tags import ROLE_TAG, STUDY_TAG

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DIGEST_LENGTH = 36  # MLflow's limit


def open_runs(client: MlflowClient, experiment_id: str, folder: StudyFolder) -> StudyRuns:
    """The runs of a study, of which the search's is running from now on; made if there is none."""
    tags = {ROLE_TAG: "search", STUDY_TAG: folder.name}
    name = f"search {folder.name}"
    runs = StudyRuns(client, experiment_id, lambda: client.create_run(experiment_id, tags=tags, run_name=name))
    info, params = runs.search_run.info, runs.search_run.data.params
    if info.status != "RUNNING":
        client.update_run(info.run_id, "RUNNING")
    if "seed" not in params:
        describe_search(client, info.run_id, folder)
    return runs


def describe_search(client: MlflowClient, run_id: str, folder: StudyFolder) -> None:
    """Write data, held-out rows and settings; the settings last, since they mark the description as whole."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source, identity, images = folder.source(), folder.identity(), folder.images()
    dataset = Dataset(source, identity["data"]["digest"][:_DIGEST_LENGTH], "local", source)
    with temporary_folder() as local:
        held_out = folder.data().held_out
        if images is None:
            save_table(held_out, local / HELD_OUT)
        else:
            save_images(images, held_out, local / HELD_OUT_IMAGES)
        with reaching(client.tracking_uri):
            client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
            for key, value in {FOLDER_TAG: images.folder, SOURCE_TAG: source}.items() if images else ():
                client.set_tag(run_id, key, value)
            client.log_artifacts(run_id, str(local))
            client.log_batch(run_id, params=run_values.parameters(identity))


def restore_files(client: MlflowClient, run_id: str, folder: StudyFolder) -> None:
    """Bring the held-out rows again if they were deleted, and have the comparison made again if that was."""
    files = {entry.path for entry in client.list_artifacts(run_id)}
    tags = client.get_run(run_id).data.tags
    of_images = folder.images() is not None
    if (HELD_OUT_IMAGES if of_images else HELD_OUT) not in files:
        describe_search(client, run_id, folder)
    compared = {"trials.csv", "optimization_history.png", IMAGES if of_images else TABLE}
    if COMPARED_TAG in tags and not compared <= files:
        client.delete_tag(run_id, COMPARED_TAG)
