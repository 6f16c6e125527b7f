"""What a search is asked for, and the workers and settings that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insects import devices
from insects.machine import DeviceRequest, Machine
from insects.params import FEWEST_EPOCHS, ClassWeight, Metric, Recipe, Schedule, default_epochs
from insects.training import Engine
from search.reports.descriptions import FigureFormat
from search.store.store import Store
from search.store.study_folder import StoredData, StudyFolder
from search.store.table_manifest import TableManifest
from search.study.config import FinalSettings, StudyConfig, default_name, differences, read_configs
from search.study.data import DataRequest
from search.study.pruner import PercentilePruner
from search.study.sampler import SamplerName
from search.study.space import SearchSpace
from search.study.workers import check_compiler
from search.system.signals import StopFlag
from search.workers.protocol import RemoteWorkers
from search.workers.threads import ThreadWorkers


@dataclass(frozen=True)
class RecipeRequest:
    """How trials are trained, as it is asked for.

    Attributes:
        epochs: Epochs of a trial; None: by the data.
        schedule: Course of the learning rate.
        class_weight: What a row counts in the loss.
        metric: What chooses the best epoch and the best trial.
    """

    epochs: int | None
    schedule: Schedule
    class_weight: ClassWeight
    metric: Metric

    def for_data(self, data: StoredData) -> Recipe:
        """Return the recipe for the rows of a search; images cost more a step than rows, and get no more epochs."""
        is_table = isinstance(data.manifest, TableManifest)
        epochs = default_epochs(len(data.splits.train_y)) if is_table else FEWEST_EPOCHS
        return Recipe(self.epochs or epochs, self.schedule, self.class_weight, self.metric)


@dataclass(frozen=True)
class SearchRequest:
    """A search that is asked for.

    Attributes:
        data: The rows or images.
        space: Where the sampler may propose.
        recipe: How each trial is trained.
        sampler: What proposes.
        pruner: What stops trials early.
        window: Trials in flight.
        seed: The seed of weights, batch orders and proposals.
        final: How the best trials are compared.
        configs: A file of configurations that are trained before any proposed one.
        device: `auto`, or where to train.
        engine: The engine; None: by device.
        trials: Trials that the study has in all when the search ends.
        study: The study's name; None: made from the fingerprint.
        model_name: The registered model; None: named after the data.
        workers: Trials trained side by side; None: one a core.
        executor: `MODULE:FUNCTION`, which gives an executor that trains the trials; None: this process does.
        cluster: The Dask scheduler whose workers train the trials; None: this process does.
        timeout: Seconds after which no new trial is asked.
        figures: What the figures of the comparison, the data and the model are written as.
    """

    data: DataRequest
    space: SearchSpace
    recipe: RecipeRequest
    sampler: SamplerName
    pruner: PercentilePruner
    window: int
    seed: int
    final: FinalSettings
    configs: Path | None
    device: str
    engine: Engine | None
    trials: int
    study: str | None
    model_name: str | None
    workers: int | None
    executor: str | None
    cluster: str | None
    timeout: float | None
    figures: FigureFormat

    @property
    def registered_name(self) -> str:
        """The name of the registered model."""
        return self.model_name or f"{self.data.stem}-mlp"

    def study_folder(self, store: Store, fingerprint: dict[str, Any]) -> StudyFolder:
        """Return the folder of the study, new or that of an earlier run."""
        return store.study(self.study or default_name(self.data.stem, fingerprint))


def workers_for(request: SearchRequest, data: StoredData, flag: StopFlag) -> ThreadWorkers | RemoteWorkers:
    """Return what trains a search: threads, a cluster, or an executor.

    Args:
        request: The search.
        data: Its data, on which the choice of a device depends.
        flag: Set by a signal.

    Raises:
        StudyError: The cluster does not answer, or the executor does not work.
    """
    asked = DeviceRequest(request.device, request.engine, request.space.typical_step_flop(data.splits.shape))
    if request.cluster is not None:
        from search.workers.dask_cluster import DaskWorkers

        return DaskWorkers(request.cluster, asked)
    if request.executor is not None:
        from search.workers.executor import ExecutorWorkers

        return ExecutorWorkers(request.executor, asked)
    return ThreadWorkers(request.workers, flag)


def config_for(
    request: SearchRequest, store: Store, data: StoredData, workers: ThreadWorkers | RemoteWorkers | None
) -> StudyConfig:
    """Return the settings of a study.

    Args:
        request: The search.
        store: Where the study is or will be.
        data: Its data, on which device, engine and epochs depend.
        workers: Train it, on the kind of machine that is chosen here; None: this machine.

    Raises:
        DeviceError: Device or engine cannot be used.
        DataError: The file of configurations cannot be used.
    """
    if workers is None or isinstance(workers, ThreadWorkers):
        choice = devices.choose(request.device, request.engine, request.space.typical_step_flop(data.splits.shape))
        if choice.engine == "compiled":
            check_compiler()
        return _config_for(request, data, choice)
    # Which kind most workers have may have changed since the study began.
    configs = [_config_for(request, data, machine.choice, machine) for machine in workers.machines]
    config = next((each for each in configs if _is_begun(request, store, each, data)), configs[0])
    assert config.machine is not None
    workers.machine = config.machine
    return config


def _config_for(
    request: SearchRequest, data: StoredData, choice: devices.Choice, machine: Machine | None = None
) -> StudyConfig:
    return StudyConfig(
        space=request.space,
        recipe=request.recipe.for_data(data),
        sampler=request.sampler,
        pruner=request.pruner,
        window=request.window,
        seed=request.seed,
        configs=() if request.configs is None else read_configs(request.configs),
        choice=choice,
        final=request.final,
        machine=machine,
    )


def _is_begun(request: SearchRequest, store: Store, config: StudyConfig, data: StoredData) -> bool:
    fingerprint = config.fingerprint(data)
    folder = request.study_folder(store, fingerprint)
    return folder.exists() and not differences(folder.fingerprint, fingerprint)
