"""Which model `--best` takes: that of the study searched last in the store, and each table's best stays its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from insects.errors import StoreError
from insects.params import ClassWeight, Metric
from search.registry.alias import best_uri, last_model
from search.store.store import Store
from search.store.study_folder import StudyFolder
from tests.support.commands import client_of, own
from tests.support.registered_studies import finalist_of, registered, study_of, without_export
from tests.support.studies import a_config, builtin_data


def begun(store: Store, study: str, model_name: str) -> StudyFolder:
    """A study that a search has begun."""
    folder = store.study(study)
    folder.make()
    folder.begin(a_config().fingerprint(builtin_data()), model_name, builtin_data())
    store.record_search(study)
    return folder


def version_of_best(client: MlflowClient, name: str) -> str:
    return str(client.get_model_version_by_alias(name, "best").version)


def test_store_without_a_search_has_the_model_of_the_built_in_table(tmp_path: Path) -> None:
    assert own(tmp_path).last_study() is None
    assert last_model(own(tmp_path)) == "insects-mlp"
    assert best_uri("insects-mlp") == "models:/insects-mlp@best"


def test_last_search_decides_and_not_the_name_or_the_age_of_a_study(tmp_path: Path) -> None:
    store = own(tmp_path)
    first = begun(store, "zebras-1", "zebras-mlp")
    assert last_model(store) == "zebras-mlp"
    begun(store, "ants-1", "ants-mlp")
    assert last_model(store) == "ants-mlp"
    store.record_search(first.name)  # a second search of it
    assert last_model(store) == "zebras-mlp"
    first.rename_model("horses")  # as `--model-name` does
    assert last_model(store) == "horses"


def test_each_store_remembers_its_own_last_search(tmp_path: Path) -> None:
    one, other = own(tmp_path / "one"), own(tmp_path / "other")
    begun(one, "ants-1", "ants-mlp")
    begun(other, "bees-1", "bees-mlp")
    assert (last_model(one), last_model(other)) == ("ants-mlp", "bees-mlp")


def test_study_that_was_deleted_is_not_the_last(tmp_path: Path) -> None:
    store = own(tmp_path)
    store.record_search("gone")
    assert store.last_study() is None
    assert last_model(store) == "insects-mlp"


def test_damaged_record_of_the_last_search_is_one_line_that_names_the_way_round_it(tmp_path: Path) -> None:
    (tmp_path / "last_search").write_bytes(b"\xff")
    with pytest.raises(StoreError) as error:
        last_model(own(tmp_path))
    assert str(error.value).startswith(f"cannot read {tmp_path / 'last_search'}: ")
    assert str(error.value).endswith("; name the model with --model-name")


def test_best_of_one_table_stays_when_another_table_is_searched(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_export(monkeypatch)
    bees, flies = study_of(store, "bees-1", 1, 0.5), study_of(store, "flies-1", 2, 0.25, data="ff" * 32)
    first = registered(store, bees, "bees-mlp")
    other = registered(store, flies, "flies-mlp")
    assert (first.uri, other.uri) == ("models:/bees-mlp@best", "models:/flies-mlp@best")
    client = client_of(store)
    before = client.get_model_version_by_alias("bees-mlp", "best")
    better = registered(store, study_of(store, "flies-2", 3, 0.125, data="ff" * 32), "flies-mlp")
    assert (better.version, better.note) == ("2", "version 2 is now best: loss 0.1250, was 0.2500")
    assert [version_of_best(client, name) for name in ("bees-mlp", "flies-mlp")] == ["1", "2"]
    assert client.get_model_version_by_alias("bees-mlp", "best") == before


def test_versions_are_compared_by_the_metric_that_chose_both(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_export(monkeypatch)
    cases: list[tuple[float, Metric, ClassWeight, str]] = [
        (0.5, "loss", "none", "version 1 is now best"),
        (0.25, "accuracy", "none", "version 2 is now best: it was chosen by accuracy, version 1 by loss"),
        (0.375, "accuracy", "none", "version 2 stays best: 1 - accuracy 0.2500, version 3 has 0.3750"),
        (0.125, "accuracy", "balanced", "version 4 is now best: 1 - accuracy 0.1250, was 0.2500"),
        (
            0.75,
            "loss",
            "balanced",
            "version 5 is now best: it was chosen by class-balanced loss, version 4 by accuracy",
        ),
        (0.5, "loss", "balanced", "version 6 is now best: class-balanced loss 0.5000, was 0.7500"),
        (0.625, "loss", "none", "version 7 is now best: it was chosen by loss, version 6 by class-balanced loss"),
    ]
    for seed, (loss, metric, class_weight, note) in enumerate(cases):
        study = study_of(store, f"s{seed}", seed, loss, metric=metric, class_weight=class_weight)
        assert registered(store, study).note == note
    client_of(store).delete_model_version_tag("insects-mlp", "7", "insects.metric")  # as a person may do
    note = "version 8 is now best: version 7 does not say what it was chosen by"
    assert registered(store, study_of(store, "last", 9, 0.5)).note == note


def test_model_of_a_final_gives_way_to_another_final_alone(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_export(monkeypatch)
    assert registered(store, study_of(store, "one", 0, 0.25)).note == "version 1 is now best"
    final = registered(store, finalist_of(store, "two", 1, 0.5), folds=2)
    assert final.note == ("version 2 is now best: version 1 was judged on validation rows, and this one out of fold")
    single = registered(store, study_of(store, "three", 2, 0.125))
    assert single.note == "version 2 stays best: a final has chosen it, and version 3 had none"
    better = registered(store, finalist_of(store, "four", 3, 0.375), folds=2)
    assert better.note == "version 4 is now best: loss 0.3750, was 0.5000"
    tags = client_of(store).get_model_version("insects-mlp", "4").tags
    assert (tags["insects.folds"], tags["insects.judged_by"]) == ("2", "out of fold")
