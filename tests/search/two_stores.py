"""Two stores with one MLflow: looking at what it holds, and doing something at a chosen instant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mlflow.entities import ViewType

from search.store.store import Store
from search.tracking.trial_runs import Projection

STUDY = "s"
OTHER_TIME = 1.8e9  # when the second store trained the same trial


def projection(store: Store) -> Projection:
    return Projection(store, store.study(STUDY))


def runs_of(store: Store, role: str, view: int = ViewType.ACTIVE_ONLY) -> list[Any]:
    client = store.client()
    experiment = client.get_experiment_by_name(STUDY)
    assert experiment is not None
    wanted = f"tags.`insects.role` = '{role}'"
    return list(client.search_runs([experiment.experiment_id], wanted, run_view_type=view))


def trials_of(store: Store) -> list[tuple[str, str]]:
    """Trial and status of each of the study's runs, which must hold each metric once."""
    runs = runs_of(store, "trial")
    for run in runs:
        for key in run.data.metrics:
            assert len(store.client().get_metric_history(run.info.run_id, key)) == 1
    return [(run.data.tags["insects.trial"], run.info.status) for run in runs]


def before(monkeypatch: pytest.MonkeyPatch, target: object, name: str, action: Callable[[], object]) -> None:
    """Do something once, just before a method is called the next time."""
    method, todo = getattr(target, name), [action]

    def call(*arguments: Any, **options: Any) -> Any:
        while todo:
            todo.pop()()
        return method(*arguments, **options)

    monkeypatch.setattr(target, name, call)
