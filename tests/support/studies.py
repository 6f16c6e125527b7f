"""Small studies for the tests: real splits, files and journals, no MLflow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from insects.devices import Choice
from insects.objective import history_columns, metric_column
from insects.params import Metric, Recipe, TrialParams
from insects.splits import Splits, Table
from insects.tasks import StudyRows
from insects.trial import TrialResult, TrialState
from search.store.study_folder import StoredData, StudyFolder
from search.study.config import FinalSettings, StudyConfig, fingerprint_digest, study_digest
from search.study.data import DataRequest, load_data
from search.study.journal import OptunaJournal
from search.study.loop import StudyLoop
from search.study.pruner import PercentilePruner
from search.study.sampler import Proposer, SamplerName
from search.study.space import SearchSpace
from search.study.winner import TrainedModel, load_model
from search.study.workers import MemoryFit
from search.system.signals import StopFlag
from search.workers.threads import ThreadWorkers

SPACE = SearchSpace(depth=(1, 2), width=(8, 16), batch_size=(16, 32, 64))
PARAMS = TrialParams(depth=1, width=8, lr=0.01, batch_size=32)
DIVERGING = TrialParams(depth=1, width=8, lr=1e30, batch_size=32)
# More weights than any machine has room for: numpy refuses to make them.
NO_FINAL = FinalSettings(finalists=0, folds=2)
UNTRAINABLE = TrialParams(depth=1_000, width=1_000_000, lr=0.01, batch_size=32)


@cache
def builtin_data() -> StoredData:
    """The built-in data as a search reads it."""
    return load_data(DataRequest(train=None), Path("unused"))


def builtin_splits() -> tuple[Splits, Table]:
    """Splits and held-out rows of the built-in data."""
    return builtin_data().splits, builtin_data().test


def a_config(
    *,
    sampler: SamplerName = "tpe",
    percentile: float | None = None,
    window: int = 4,
    seed: int = 0,
    epochs: int = 3,
    configs: Sequence[TrialParams] = (),
    metric: Metric = "loss",
    final: FinalSettings = NO_FINAL,
) -> StudyConfig:
    """Settings of a study over `SPACE` on the CPU."""
    return StudyConfig(
        space=SPACE,
        recipe=Recipe(epochs, metric=metric),
        sampler=sampler,
        pruner=PercentilePruner(percentile),
        window=window,
        seed=seed,
        configs=tuple(configs),
        choice=Choice("cpu", "compiled", "as asked"),
        final=final,
    )


def begun_folder(store: Path, config: StudyConfig, name: str = "s") -> StudyFolder:
    """The folder of a study that has begun."""
    folder = StudyFolder(store / "trials" / name)
    folder.make()
    if not folder.exists():
        folder.begin(config.fingerprint(builtin_data()), "insects-mlp", builtin_data())
    return folder


@dataclass
class Listener:
    """Calls functions for the trials that it hears of."""

    trained: Callable[[TrialResult], None]
    known: Callable[[TrialResult], None]


def run_study(
    store: Path,
    config: StudyConfig,
    trials: int,
    *,
    workers: int = 2,
    deadline: float | None = None,
    stop: StopFlag | None = None,
    on_result: Callable[[TrialResult], None] = lambda result: None,
    on_known: Callable[[TrialResult], None] = lambda result: None,
) -> list[TrialResult]:
    """Bring the study `s` of a store to `trials` trials, as `insects-search` does but for MLflow."""
    folder = begun_folder(store, config)
    digest = fingerprint_digest(folder.fingerprint)
    stop, splits = stop or StopFlag(), builtin_splits()[0]
    with closing(ThreadWorkers(workers, stop)) as threads:
        threads.open(StudyRows(splits), MemoryFit(config, splits), folder.path)
        loop = StudyLoop(
            config=config,
            folder=folder,
            journal=OptunaJournal(
                store / "optuna.journal",
                folder.name,
                digest,
                len(folder.numbers()),
                config.space,
                config.configs,
                config.recipe.metric,
            ),
            proposer=Proposer(config.space, config.sampler, config.seed, config.configs),
            workers=threads,
            stop=stop,
            listeners=[Listener(on_result, on_known)],
        )
        return loop.run(trials, deadline)


def model_of(folder: StudyFolder, answer: dict[str, Any]) -> TrainedModel:
    """The networks that a search has registered.

    Args:
        folder: The study.
        answer: What the search printed.
    """
    final = answer["final"]
    model = load_model(folder, final["chosen"], final["folds"])
    assert model is not None
    return model


def optuna_trials(journal: Path, study: str = "s") -> list[dict[str, Any]]:
    """What a study in Optuna's journal holds, but for the times."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(journal)))
    return [
        {
            "number": trial.number,
            "state": trial.state.name,
            "params": trial.params,
            "values": trial.values,
            "intermediate": trial.intermediate_values,
            "user": trial.user_attrs,
        }
        for trial in optuna.load_study(study_name=study, storage=storage).trials
    ]


def a_result(
    number: int,
    params: TrialParams = PARAMS,
    losses: Sequence[float] = (1.5, 0.9, 1.1),
    state: TrialState = "complete",
    reason: str = "",
    metric: Metric = "loss",
) -> TrialResult:
    """A result with given validation losses, or with a metric of 1 minus these, the rest made up."""
    history = np.full((len(losses), len(history_columns(metric))), 0.5)
    history[:, history_columns(metric).index(metric_column(metric))] = (
        losses if metric == "loss" else 1 - np.array(losses)
    )
    finite = np.where(np.isfinite(losses), losses, np.inf)
    best_epoch = int(np.argmin(finite)) + 1 if len(losses) and np.isfinite(finite).any() else 0
    weights = np.random.default_rng(number).standard_normal(7).astype(np.float32)
    return TrialResult(number, params, state, reason, history, best_epoch, weights, 1.7e9 + number, 0.25, metric)


def a_failure(number: int, params: TrialParams = PARAMS) -> TrialResult:
    """A result of a trial that raised."""
    return a_result(number, params, (), "failed", "Traceback (most recent call last):\nRuntimeError: boom\n")


def loss_of(params: TrialParams) -> float:
    """A made-up objective that a sampler can learn."""
    return abs(math.log10(params.lr) + 2) + abs(params.width - 12) / 10 + params.depth / 5 + params.batch_size / 100


def same(one: Sequence[TrialResult], other: Sequence[TrialResult]) -> bool:
    """Whether two studies are equal in everything but the times."""
    return study_digest(one) == study_digest(other) and [r.reason for r in one] == [r.reason for r in other]


def as_dict(params: TrialParams) -> dict[str, Any]:
    """Parameters as `--configs` takes them."""
    return asdict(params)
