"""`insects-search`: from a request to a study that is trained, uploaded and registered."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insects import devices
from insects.baselines import Score
from insects.errors import StoreError, StudyError
from insects.params import FEWEST_EPOCHS, ClassWeight, Metric, Recipe, Schedule, TrialParams, default_epochs
from insects.training import Engine
from insects.trial import TrialResult, best_of
from search.commands.training import Training
from search.registry.alias import RegisteredModel
from search.store.store import Store
from search.store.study_folder import FinalRecord, StoredData, StudyFolder
from search.store.table_manifest import TableManifest
from search.study.config import (
    FinalSettings,
    StudyConfig,
    check_fingerprint,
    default_name,
    read_configs,
    study_digest,
    version_differences,
)
from search.study.data import DataRequest, load_data
from search.study.final import finalists_in, is_held
from search.study.loop import LoopSeconds, asked_before
from search.study.pruner import PercentilePruner
from search.study.sampler import SamplerName
from search.study.space import SearchSpace
from search.study.winner import winner_of
from search.study.workers import check_compiler
from search.system.files import exists
from search.system.lock import LockHeldError, hold
from search.system.signals import Interrupted, StopFlag, handled_signals
from search.system.terminal import say
from search.upload.uploader import Uploader, upload_workers

UPLOADING = "what is finished is uploaded and the best model registered; Ctrl-C again ends this at once"


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
        timeout: Seconds after which no new trial is asked.
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
    timeout: float | None

    @property
    def registered_name(self) -> str:
        """The name of the registered model."""
        return self.model_name or f"{self.data.stem}-mlp"


@dataclass(frozen=True)
class FinalistFigures:
    """A finalist, for people.

    Attributes:
        number: The trial's number.
        params: Its hyperparameters.
        figures: Metrics out of fold, by name.
    """

    number: int
    params: TrialParams
    figures: dict[str, float]


@dataclass(frozen=True)
class SearchOutcome:
    """What a search has done.

    Attributes:
        study: The study's name.
        choice: Device and engine.
        results: Every trial of the study, without weights.
        wanted: Trials that were asked for.
        interrupted: Whether Ctrl-C ended the search; what had ended is uploaded and registered.
        new: Trials that were trained in this run.
        digest: The digest of all results.
        best: The best trial.
        final: The outcome of the final; None: there was none.
        finalists: The finalists.
        baselines: How well simple models do on the same folds.
        model: The version of the registered model.
        upload_error: What kept MLflow from being up to date; empty if nothing did.
        seconds: Where the time went.
    """

    study: str
    choice: devices.Choice
    results: list[TrialResult]
    wanted: int
    interrupted: bool
    new: int
    digest: str
    best: TrialResult | None
    final: FinalRecord | None
    finalists: list[FinalistFigures]
    baselines: list[Score]
    model: RegisteredModel | None
    upload_error: str
    seconds: dict[str, float]


def run_search(request: SearchRequest, store: Store, started: float) -> SearchOutcome:
    """Train the trials of a study, upload them to MLflow and register the best model.

    Args:
        request: The search.
        store: Where it is kept.
        started: `time.perf_counter()` when the command began.

    Raises:
        InsectsError: A mistake in the data or the surroundings.
        Interrupted: SIGTERM came, or Ctrl-C before a trial had ended. Finished trials are kept, and uploaded as far as
            there was time.
    """
    watch, flag = Stopwatch(started), StopFlag()
    with ExitStack() as stack:
        workers = stack.enter_context(upload_workers(store))
        stack.enter_context(handled_signals(flag, workers.kill))
        data = load_data(request.data, store.image_cache)
        config = study_config(request, data)
        folder = _open_study(stack, request, store, config, data)
        trials = max(request.trials, asked_before(folder.numbers(), config.window))
        if _nothing_is_left(request, store, folder, trials):
            return _outcome_of_record(request, config, folder, watch)
        if request.data.is_builtin:
            say(
                "Demo: the built-in table is searched, a spiral of five arms; your own: insects-search TABLE.csv TARGET"
            )
        uploader = Uploader(workers, folder)
        if request.recipe.epochs is None and config.recipe.epochs > FEWEST_EPOCHS:
            say(f"Epochs of a trial: {config.recipe.epochs}, since the table is small; --epochs sets another number")
        training = Training(
            config=config,
            data=data,
            store=store,
            folder=folder,
            trials=trials,
            workers=request.workers,
            timeout=request.timeout,
            flag=flag,
            uploader=uploader,
        )
        watch.lap("imports")
        flag.polled = True
        try:
            results, is_stopped = _trained(training, flag, folder)
            watch.lap("loop")
            winner = winner_of(folder, results)
            check = _FinishCheck(flag, has_said=is_stopped)
            check()  # a signal that came after the last training is handled before anything is waited for
            model = uploader.finish(winner, request.registered_name, check, interrupted=is_stopped)
        except Interrupted:
            uploader.interrupt()
            raise
        except StudyError as error:
            uploader.fail(flag.check)
            if uploader.upload_error:
                raise StudyError(f"{error}. Not all is in MLflow yet: {uploader.upload_error}") from error
            raise
        watch.lap("finishing")
    meanwhile = {"training": training.covered_seconds(), "final": training.final_seconds, **uploader.seconds}
    return _outcome(
        request, config, folder, results, training.count, model, uploader.upload_error, flag.ctrl_c,
        {**watch.parts(training.seconds), **meanwhile},
    )  # fmt: skip


def _trained(training: Training, flag: StopFlag, folder: StudyFolder) -> tuple[list[TrialResult], bool]:
    """Train, and return the results of all trials, after Ctrl-C of those that had ended, and whether it came.

    Raises:
        Interrupted: SIGTERM came, or no trial had ended.
    """
    try:
        return training.run(), False
    except Interrupted:
        results = folder.results_without_weights()
        if not (flag.ctrl_c and results):
            raise
        say(f"Stopped: {UPLOADING}")
        return results, True


class _FinishCheck:
    """Called while results are uploaded: SIGTERM ends that, Ctrl-C does not."""

    def __init__(self, flag: StopFlag, has_said: bool) -> None:
        self._flag, self._has_said = flag, has_said

    def __call__(self) -> None:
        if not self._flag.ctrl_c:
            self._flag.check()
        elif not self._has_said:
            self._has_said = True
            say(f"Training is done: {UPLOADING}")


def study_config(request: SearchRequest, data: StoredData) -> StudyConfig:
    """Return the settings of a study.

    Args:
        request: The search.
        data: Its data, on which device, engine and epochs depend.

    Raises:
        DeviceError: Device or engine cannot be used.
        DataError: The file of configurations cannot be used.
    """
    choice = devices.choose(request.device, request.engine, request.space.typical_step_flop(data.splits.shape))
    if choice.engine == "compiled":
        check_compiler()
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
    )


def _open_study(
    stack: ExitStack, request: SearchRequest, store: Store, config: StudyConfig, data: StoredData
) -> StudyFolder:
    """Return the study's folder, new or that of an earlier run, locked until `stack` is closed."""
    fingerprint = config.fingerprint(data)
    folder = store.study(request.study or default_name(request.data.stem, fingerprint))
    folder.make()
    try:
        stack.enter_context(hold(folder.path / "lock"))
    except LockHeldError as error:
        raise StudyError(
            f"study {folder.name} is being searched by {error.holder}: wait for it, or choose another --study"
        ) from error
    if folder.exists():
        check_fingerprint(folder.name, folder.fingerprint, fingerprint)
        folder.rename_model(request.registered_name)
    else:
        _report_upgrade(store, fingerprint)
        folder.begin(fingerprint, request.registered_name, data)
    store.record_search(folder.name)
    return folder


def _report_upgrade(store: Store, fingerprint: dict[str, Any]) -> None:
    """Say that a new study differs from an earlier one in versions only, which nobody asked for."""
    for folder in store.studies():
        with suppress(StoreError):  # a damaged study is reported when it is used
            if differences := version_differences(folder.fingerprint, fingerprint):
                say(f"Study {folder.name} has these settings under other versions, this is a new one: {differences[0]}")
                return


def _nothing_is_left(request: SearchRequest, store: Store, folder: StudyFolder, trials: int) -> bool:
    """Tell whether all trials are finished and uploaded, as far as the store knows: `--sync` asks MLflow."""
    record = folder.upload_record()
    if record is None or folder.numbers() != list(range(trials)):
        return False
    made_again = [store.journal] if store.database is None else [store.journal, store.database]
    if not all(exists(path) for path in made_again):
        return False
    if request.final.finalists and not is_held(folder):
        return False
    digest = study_digest(folder.results_without_weights(), finalists_in(folder))
    return (record.tracking_uri, record.model_name, record.trials) == (store.shown_uri, request.registered_name, digest)


def _outcome_of_record(
    request: SearchRequest, config: StudyConfig, folder: StudyFolder, watch: Stopwatch
) -> SearchOutcome:
    """Return the outcome of a search that has nothing to do."""
    record = folder.upload_record()
    model, name = None, request.registered_name
    if record is not None and record.version is not None:
        note = f"version {record.version} was registered before"
        model = RegisteredModel(name, record.version, "", f"models:/{name}/{record.version}", note)
    watch.lap("imports")
    nothing = dict.fromkeys(("training", "final", "figures", "tracking"), 0.0)
    return _outcome(
        request, config, folder, folder.results_without_weights(), 0, model, "", False,
        {**watch.parts(LoopSeconds()), **nothing},
    )  # fmt: skip


def _outcome(
    request: SearchRequest,
    config: StudyConfig,
    folder: StudyFolder,
    results: list[TrialResult],
    new: int,
    model: RegisteredModel | None,
    upload_error: str,
    interrupted: bool,
    seconds: dict[str, float],
) -> SearchOutcome:
    # That of an earlier run is of fewer trials, if Ctrl-C came before a new final was held.
    is_current = not interrupted or is_held(folder)
    finalists = finalists_in(folder) if is_current else []
    return SearchOutcome(
        study=folder.name,
        choice=config.choice,
        results=results,
        wanted=request.trials,
        interrupted=interrupted,
        new=new,
        digest=study_digest(results, finalists),
        best=best_of(results),
        final=folder.final() if request.final.finalists and is_current else None,
        finalists=[FinalistFigures(f.number, f.params, f.figures) for f in finalists],
        baselines=folder.baselines(),
        model=model,
        upload_error=upload_error,
        seconds=seconds,
    )


@dataclass
class Stopwatch:
    """Splits the time of the main thread into named parts.

    Attributes:
        started: `time.perf_counter()` when the command began.
        seconds: The parts so far.
    """

    started: float
    seconds: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str) -> None:
        """Count all time since the last lap as `name`."""
        passed = sum(self.seconds.values())
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - self.started - passed

    def parts(self, loop: LoopSeconds) -> dict[str, float]:
        """Return the `total` and its parts, with the part `loop` split into sampling, waiting and storing."""
        parts = {"imports": 0.0, "loop": 0.0, "finishing": 0.0, **self.seconds}
        storing = parts.pop("loop") - loop.sampling - loop.waiting
        split = {"sampling": loop.sampling, "storing": storing, "waiting": loop.waiting}
        return {"total": sum(self.seconds.values()), **parts, **split}
