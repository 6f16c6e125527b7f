"""The run of a search in MLflow: its data, settings and test rows, and the comparison of its trials."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from insects.params import Recipe
from insects.trial import best_of
from search.reports.comparison import FINAL_CSV, write_comparison, write_description, write_finalists
from search.reports.descriptions import FigureFormat
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.config import study_digest
from search.study.final import finalists_in
from search.system.files import temporary_folder
from search.tracking import run_values
from search.tracking.client import mlflow_errors
from search.tracking.experiment import deleted_in_mlflow
from search.tracking.held_out import TEST_IMAGES, TEST_ROWS, TRAINED_ON, save_images, save_keys, save_table
from search.tracking.notes import describe_study
from search.tracking.tags import (
    COMPARED_TRIALS_TAG,
    IMAGE_FOLDER_TAG,
    IMAGE_SOURCE_TAG,
    REPORT_TAG,
    ROLE_TAG,
    SEARCH_ID_TAG,
    STORE_TAG,
    STUDY_TAG,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from insects.plots import TrialFigures

_DIGEST_LENGTH = 36  # MLflow's limit
_PAGE = 1000
_AND_SVG = " and SVG"  # in the tag of what was compared


def open_search_run(client: MlflowClient, store: Store, folder: StudyFolder, experiment_id: str) -> str:
    """Return the id of the search's run, which is running from now on; it is created if there is none.

    Args:
        client: MLflow's client.
        store: The store that the study is in.
        folder: The study.
        experiment_id: The study's experiment.

    Raises:
        StoreError: The run was deleted, or MLflow does not answer.
    """
    wanted = f"tags.`{ROLE_TAG}` = 'search' and tags.`{SEARCH_ID_TAG}` = '{folder.id}'"
    with mlflow_errors(client.tracking_uri):
        run = next(find_runs(client, experiment_id, wanted), None)
        if run is None:
            tags = {
                ROLE_TAG: "search",
                STUDY_TAG: folder.name,
                SEARCH_ID_TAG: folder.id,
                STORE_TAG: store.place,
            }
            run = client.create_run(experiment_id, tags=tags, run_name=f"search {folder.name}")
        run_id = str(run.info.run_id)
        if run.info.lifecycle_stage == "deleted":
            raise deleted_in_mlflow(f"run {run.info.run_name} ({run_id})", folder)
        if run.info.status != "RUNNING":
            client.update_run(run_id, "RUNNING")
    if "seed" not in run.data.params:
        _describe(client, run_id, folder)
    return run_id


def compare_trials(
    client: MlflowClient,
    run_id: str,
    folder: StudyFolder,
    figures: TrialFigures | None,
    seconds: dict[str, float],
    written_as: FigureFormat = "png",
) -> None:
    """Bring the comparison of all trials and the description of the data to the search's run, unless they are there.

    Args:
        client: MLflow's client.
        run_id: The search's run.
        folder: The study.
        figures: What drew the figures of the trials, to be used again; None: it is made.
        seconds: `figures` and `tracking` grow by the seconds spent.
        written_as: What the figures are written as.
    """
    results, finalists = folder.results_without_weights(), finalists_in(folder)
    digest = study_digest(results, finalists)
    with mlflow_errors(client.tracking_uri):
        tags = client.get_run(run_id).data.tags
    compared = tags.get(COMPARED_TRIALS_TAG)
    has_svg = (compared or "").endswith(_AND_SVG)
    written_as = "svg" if has_svg else written_as  # else they would be of other trials than the figures beside them
    lacks_svg = written_as == "svg" and not has_svg
    if not results or (compared in (digest, digest + _AND_SVG) and not lacks_svg):
        return
    started = time.perf_counter()
    with temporary_folder() as local:
        write_comparison(local, folder, results, figures, written_as)
        if finalists:
            write_finalists(local / FINAL_CSV, finalists)
        if compared is None or lacks_svg:  # the data of a study never changes
            write_description(local, folder, written_as)
        drawn = time.perf_counter()
        best = best_of(results)
        with mlflow_errors(client.tracking_uri):
            if best is not None:
                # The step grows from one best trial to the next, so that MLflow shows the latest figures.
                values = run_values.best_metrics(best, run_values.ended(best), len(results))
                values += run_values.expected_metrics(folder.final(), run_values.ended(best), len(results))
                client.log_batch(run_id, metrics=values)
            client.log_artifacts(run_id, str(local))
        if best is not None:
            describe_study(client, run_id, folder)
        with mlflow_errors(client.tracking_uri):
            client.set_tag(run_id, COMPARED_TRIALS_TAG, digest + (_AND_SVG if written_as == "svg" else ""))
    seconds["figures"] += drawn - started
    seconds["tracking"] += time.perf_counter() - drawn


def log_report(client: MlflowClient, run_id: str, folder: StudyFolder) -> None:
    """Bring the report of a study to the search's run, unless it is there, or there is none.

    Args:
        client: MLflow's client.
        run_id: The search's run.
        folder: The study.
    """
    digest = folder.report_digest()
    with mlflow_errors(client.tracking_uri):
        run = client.get_run(run_id)
        if digest is None or run.data.tags.get(REPORT_TAG) == digest or run.info.lifecycle_stage == "deleted":
            return
        client.log_artifact(run_id, str(folder.report))
        client.set_tag(run_id, REPORT_TAG, digest)


def find_runs(client: MlflowClient, experiment_id: str, wanted: str) -> Iterator[Run]:
    """Find runs, deleted ones too, with the runs that are not deleted first.

    Args:
        client: MLflow's client.
        experiment_id: The experiment that they are in.
        wanted: MLflow's filter string.
    """
    from mlflow.entities import ViewType

    for view in (ViewType.ACTIVE_ONLY, ViewType.DELETED_ONLY):
        token = None
        while True:
            page = client.search_runs([experiment_id], wanted, view, max_results=_PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                break


def _describe(client: MlflowClient, run_id: str, folder: StudyFolder) -> None:
    """Write data, test rows and settings; the settings last, since they mark the description as complete."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source, fingerprint, images = folder.source, folder.fingerprint, folder.images()
    dataset = Dataset(source, fingerprint["data"]["digest"][:_DIGEST_LENGTH], "local", source)
    with temporary_folder() as local:
        test = folder.data().test
        if images is None:
            save_table(test, local / TEST_ROWS)
        else:
            save_images(images, test, local / TEST_IMAGES)
        save_keys(folder.seen(), local / TRAINED_ON)
        with mlflow_errors(client.tracking_uri):
            client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
            for key, value in {IMAGE_FOLDER_TAG: images.folder, IMAGE_SOURCE_TAG: source}.items() if images else ():
                client.set_tag(run_id, key, value)
            client.log_artifacts(run_id, str(local))
            # A fingerprint lacks settings of the recipe that have their defaults.
            client.log_batch(run_id, params=run_values.parameters({**asdict(Recipe()), **fingerprint}))
