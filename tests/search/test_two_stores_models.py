"""Two stores that register the same study: one version, one model."""

from __future__ import annotations

import pytest

from search.registry import versions
from search.registry.logged_models import Runs, TrialModels
from search.registry.versions import register
from search.store.store import Store
from tests.search.two_stores import STUDY, before, projection, runs_of


def test_model_that_another_name_uses_is_left(stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = stores
    projection(one).deliver_missing()

    def registration(store: Store, name: str) -> None:
        delivered = projection(store)
        runs = Runs(delivered.experiment_id, delivered.search_run_id, delivered.settled(0))
        register(store, store.study(STUDY), 0, runs, name)

    before(monkeypatch, TrialModels, "log", lambda: registration(two, "moths"))
    registration(one, "insects-mlp")
    registration(one, "bees")  # needs no model of its own
    client = one.client()
    sources = {(version.name, str(version.source)) for version in client.search_model_versions()}
    (trial,) = runs_of(one, "trial")
    models = {str(model.model_uri) for model in client.search_logged_models([trial.info.experiment_id])}
    assert len(models) == 2
    assert {name for name, _ in sources} == {"insects-mlp", "moths", "bees"}
    assert {source for _, source in sources} == models


@pytest.mark.parametrize("instant", [(TrialModels, "log"), (versions, "_create_version")], ids=["export", "version"])
def test_two_registrations_at_once_leave_one_version_with_one_model(
    instant: tuple[object, str], stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = {}

    def registration(store: Store) -> None:
        delivered = projection(store)
        runs = Runs(delivered.experiment_id, delivered.search_run_id, delivered.settled(0))
        registered[store.path.name] = register(store, store.study(STUDY), 0, runs, "insects-mlp")

    one, two = stores
    projection(one).deliver_missing()
    before(monkeypatch, *instant, lambda: registration(two))
    registration(one)
    assert registered["one"].version == registered["two"].version == "1"
    client = one.client()
    (version,) = client.search_model_versions("name = 'insects-mlp'")
    (trial,) = runs_of(one, "trial")
    (model,) = client.search_logged_models([trial.info.experiment_id])
    assert (version.source, version.run_id) == (model.model_uri, trial.info.run_id)
    assert str(client.get_model_version_by_alias("insects-mlp", "best").version) == "1"
