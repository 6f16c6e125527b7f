"""`insects-search --sync`: uploads to MLflow, and to the database of --storage, what is not there yet."""

from __future__ import annotations

from dataclasses import dataclass

from insects.errors import InsectsError, StoreError, StudyError
from insects.trial import TrialResult
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.winner import winner_of
from search.upload.storage_worker import StorageWorker
from search.upload.uploader import Uploader, UploadWorkers, upload_workers


@dataclass(frozen=True)
class SyncedStudy:
    """A study after the upload.

    Attributes:
        study: Its name.
        upload_error: What kept it from being complete in MLflow; empty if nothing did.
        storage_error: What kept it from being complete in the database of --storage.
    """

    study: str
    upload_error: str
    storage_error: str = ""


def sync_studies(store: Store, study: str | None) -> list[SyncedStudy]:
    """Upload the studies of a store.

    Args:
        store: The store.
        study: The only study to upload; None: all.

    Raises:
        StudyError: There is no such study.
    """
    outcomes, readable = [], []
    for folder in _folders(store, study):
        try:
            readable.append((_ended(folder.results_without_weights()), folder.name, folder.model_name, folder))
        except StoreError as error:
            outcomes.append(SyncedStudy(folder.name, str(error)))
    with upload_workers(store) as workers:
        # In the order in which they ended, so that a rebuilt registry compares the models as the searches did.
        for _, name, model_name, folder in sorted(readable, key=lambda entry: entry[:2]):
            uploader = Uploader(workers, folder)
            uploader.wait_until_open()  # a search that goes on may yet find a better trial
            winner = winner_of(folder, folder.results_without_weights())
            uploader.finish(winner, model_name, check=lambda: None, recompare=False)
            outcomes.append(SyncedStudy(name, uploader.upload_error, _exported(workers, folder)))
    return sorted(outcomes, key=lambda outcome: outcome.study)


def _exported(workers: UploadWorkers, folder: StudyFolder) -> str:
    """Write a study to the database of --storage, and return what kept it from being complete there."""
    if workers.storage is None:
        return ""
    calls = workers.storage
    try:
        if other := calls.submit(StorageWorker.open, folder.name).result():
            return other
        calls.submit(StorageWorker.add_missing).result()
        calls.submit(StorageWorker.close).result()
    except InsectsError as error:
        return str(error)
    return ""


def _ended(results: list[TrialResult]) -> float:
    return max((result.started + result.seconds for result in results), default=0.0)


def _folders(store: Store, study: str | None) -> list[StudyFolder]:
    if study is None:
        return store.studies()
    folder = store.study(study)
    if not folder.exists():
        found = ", ".join(folder.name for folder in store.studies()) or "none"
        raise StudyError(
            f"there is no study {study} in {store.path} (found: {found}): choose another --study or --store"
        )
    return [folder]
