"""`insects-search --sync`: studies of a store are brought to MLflow without a search."""

from __future__ import annotations

from dataclasses import dataclass

from insects.errors import StoreError, StudyError
from search.comparison import light_results
from search.finishing import best_of, finish, opened
from search.results import StudyFolder
from search.store import Store


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
            ended = max((result.started + result.seconds for result in light_results(folder)), default=0.0)
            readable.append((ended, folder, folder.model_name()))
        except StoreError as error:
            outcomes.append(Synced(folder.name, str(error)))
    # In the order of their ends, so that a rebuilt registry compares the models in the order in which they were made.
    readable.sort(key=lambda entry: (entry[0], entry[1].name))
    with opened(store) as delivery:
        for _, folder, model_name in readable:
            delivery.open(folder)
            delivery.wait_until_open()  # a search of it that goes on may yet find a better trial
            best = best_of(light_results(folder))
            finish(delivery, best, model_name, check=lambda: None, again=False)
            outcomes.append(Synced(folder.name, delivery.trouble))
    return sorted(outcomes, key=lambda outcome: outcome.study)


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
