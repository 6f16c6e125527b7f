"""`insects-search --sync`: studies of a store are brought to MLflow without a search."""

from __future__ import annotations

from dataclasses import dataclass

from insects.errors import StoreError, StudyError
from insects.trial import TrialResult, best_of
from search.reports.comparison import light_results
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.upload.finishing import finish, opened


@dataclass(frozen=True)
class Synced:
    """A study, and what kept it from being in MLflow whole; empty if nothing did."""

    study: str
    trouble: str


def deliver_only(store: Store, study: str | None) -> list[Synced]:
    """Bring all studies of a store to MLflow, or one.

    Raises: StudyError: no such study here.
    """
    outcomes, readable = [], []
    for folder in _folders(store, study):
        try:
            readable.append((folder, folder.model_name(), light_results(folder)))
        except StoreError as error:
            outcomes.append(Synced(folder.name, str(error)))
    # In the order of their ends, so that a rebuilt registry compares the models in the order in which they were made.
    readable.sort(key=lambda entry: (_ended(entry[2]), entry[0].name))
    with opened(store) as delivery:
        for folder, model_name, results in readable:
            delivery.open(folder)
            delivery.wait_until_open()  # a search of it that goes on may yet find a better trial
            if folder.numbers() != [result.number for result in results]:
                results = light_results(folder)
            finish(delivery, best_of(results), model_name, check=lambda: None, mends=True)
            outcomes.append(Synced(folder.name, delivery.trouble))
    return sorted(outcomes, key=lambda outcome: outcome.study)


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
