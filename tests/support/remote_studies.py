"""Studies with a final that are trained by any workers, without MLflow."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from insects.devices import Choice
from insects.machine import DeviceRequest
from insects.tasks import StudyRows
from insects.trial import TrialResult
from search.study.config import FinalSettings, StudyConfig, fingerprint_digest, study_digest
from search.study.final import Final, finalists_in
from search.study.journal import OptunaJournal
from search.study.loop import StudyLoop
from search.study.sampler import Proposer
from search.study.workers import MemoryFit
from search.system.signals import StopFlag
from search.workers.protocol import Workers
from tests.support.studies import PARAMS, Listener, a_config, begun_folder, builtin_data

TRIALS = 12
CONFIG = a_config(final=FinalSettings(finalists=2, folds=2), configs=[PARAMS])
REQUEST = DeviceRequest("cpu", "compiled", 0.0)
CHOICE = Choice("cpu", "compiled", "as asked")


class _Silent:
    def fold_trained(self, result: object, left: int) -> None:
        pass

    def finalist_trained(self, number: int, folds: int) -> None:
        pass


def train(
    store: Path,
    workers: Workers,
    *,
    config: StudyConfig = CONFIG,
    trials: int = TRIALS,
    stop: StopFlag | None = None,
    on_result: Callable[[TrialResult], None] = lambda result: None,
) -> str:
    """Train a study with its final, let the workers go, and return the digest of all of it."""
    with closing(workers):
        return train_open(store, workers, config=config, trials=trials, stop=stop, on_result=on_result)


def train_open(
    store: Path,
    workers: Workers,
    *,
    config: StudyConfig,
    trials: int,
    stop: StopFlag | None,
    on_result: Callable[[TrialResult], None],
) -> str:
    """See `train`; the workers stay."""
    folder, data, stop = begun_folder(store, config), builtin_data(), stop or StopFlag()
    fold_N = data.fold_rows.draw(config.final.folds)
    workers.open(StudyRows(data.splits, fold_N), MemoryFit(config, data.splits), folder.path)
    digest = fingerprint_digest(folder.fingerprint)
    journal = OptunaJournal(store / "optuna.journal", folder.name, digest, len(folder.numbers()), config.space)
    loop = StudyLoop(
        config=config,
        folder=folder,
        journal=journal,
        proposer=Proposer(config.space, config.sampler, config.seed, config.configs),
        workers=workers,
        stop=stop,
        listeners=[Listener(on_result, lambda result: None)],
    )
    results = loop.run(trials)
    Final(
        config=config,
        folds=int(fold_N.max()) + 1,
        units=None,
        folder=folder,
        workers=workers,
        stop=stop,
        listeners=[_Silent()],
    ).run(results)
    return study_digest(results, finalists_in(folder))
