"""`insects-search`: from a request to a study that is trained, uploaded and registered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insects import devices
from insects.baselines import Score
from insects.errors import StoreError, StudyError
from insects.params import FEWEST_EPOCHS, TrialParams
from insects.trial import TrialResult, best_of
from search.commands.search_request import SearchRequest, config_for, workers_for
from search.commands.training import Training
from search.registry.alias import RegisteredModel
from search.reports.report_contents import majority_note
from search.store.final_record import FinalRecord
from search.store.store import Store
from search.store.study_folder import StoredData, StudyFolder
from search.study.config import (
    StudyConfig,
    check_fingerprint,
    study_digest,
    version_differences,
)
from search.study.data import load_data
from search.study.final import finalists_in, is_held
from search.study.loop import LoopSeconds, TrialListener, asked_before
from search.study.winner import winner_of
from search.system.files import exists
from search.system.lock import LockHeldError, hold
from search.system.signals import Interrupted, StopFlag, handled_signals
from search.system.terminal import say
from search.upload.database_export import DatabaseExport
from search.upload.uploader import Uploader, UploadWorkers, upload_workers

UPLOADING = "what is finished is uploaded and the best model registered; Ctrl-C again ends this at once"


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
        majority_note: A caution about a model that is no better than the most frequent class; mostly empty.
        model: The version of the registered model.
        upload_error: What kept MLflow from being up to date; empty if nothing did.
        storage_error: What kept the database of --storage from being up to date.
        seconds: Where the time went.
        report: The page about the study; None if there is none.
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
    majority_note: str
    model: RegisteredModel | None
    upload_error: str
    storage_error: str
    seconds: dict[str, float]
    report: Path | None


def run_search(
    request: SearchRequest,
    store: Store,
    started: float,
    *,
    listeners: Sequence[TrialListener] = (),
    owns_process: bool = True,
) -> SearchOutcome:
    """Train the trials of a study, upload them to MLflow and register the best model.

    Args:
        request: The search.
        store: Where it is kept.
        started: `time.perf_counter()` when the command began.
        listeners: Hear of each trial.
        owns_process: See `search.system.signals.handled_signals`.

    Raises:
        InsectsError: A mistake in the data or the surroundings.
        Interrupted: SIGTERM came, or Ctrl-C before a trial had ended. Finished trials are kept, and uploaded as far as
            there was time.
    """
    watch, flag = Stopwatch(started), StopFlag()
    with ExitStack() as stack:
        processes = stack.enter_context(upload_workers(store))
        stack.enter_context(handled_signals(flag, processes.kill, owns_process=owns_process))
        data = load_data(request.data, store.image_cache)
        workers = stack.enter_context(closing(workers_for(request, data, flag)))
        config = config_for(request, store, data, workers)
        folder = _open_study(stack, request, store, config, data)
        trials = max(request.trials, asked_before(folder.numbers(), config))
        if _nothing_is_left(request, store, folder, trials):
            return _outcome_of_record(request, config, folder, watch)
        if request.data.is_builtin:
            say(
                "Demo: the built-in table is searched, a spiral of five arms; your own: insects-search TABLE.csv TARGET"
            )
        database = _database_export(processes, store, folder, flag)
        uploader = Uploader(processes, folder, request.figures)
        if request.recipe.epochs is None and config.recipe.epochs > FEWEST_EPOCHS:
            say(f"Epochs of a trial: {config.recipe.epochs}, since the table is small; --epochs sets another number")
        training = Training(
            config=config,
            data=data,
            store=store,
            folder=folder,
            trials=trials,
            workers=workers,
            timeout=request.timeout,
            flag=flag,
            uploader=uploader,
            export=database,
            listeners=listeners,
        )
        watch.lap("imports")
        flag.polled = True
        try:
            results, is_stopped = _trained(training, flag, folder)
            watch.lap("loop")
            check = _FinishCheck(flag, has_said=is_stopped)
            check()  # a signal that came after the last training is handled before anything is waited for
            if database is not None:
                database.finish(check)
            winner = winner_of(folder, results)
            model = uploader.finish(winner, request.registered_name, check, interrupted=is_stopped)
        except Interrupted:
            if database is not None:
                database.interrupt()
            uploader.interrupt()
            raise
        except StudyError as error:
            if database is not None:
                database.interrupt()
            uploader.fail(flag.check)
            if uploader.upload_error:
                raise StudyError(f"{error}. Not all is in MLflow yet: {uploader.upload_error}") from error
            raise
        watch.lap("finishing")
    meanwhile = {"training": training.covered_seconds(), "final": training.final_seconds, **uploader.seconds}
    return _outcome(
        request, config, folder, results, training.count, model, uploader.upload_error,
        "" if database is None else database.error, flag.ctrl_c,
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


def _open_study(
    stack: ExitStack, request: SearchRequest, store: Store, config: StudyConfig, data: StoredData
) -> StudyFolder:
    """Return the study's folder, new or that of an earlier run, locked until `stack` is closed."""
    fingerprint = config.fingerprint(data)
    folder = request.study_folder(store, fingerprint)
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


def _database_export(
    workers: UploadWorkers, store: Store, folder: StudyFolder, flag: StopFlag
) -> DatabaseExport | None:
    """Return what writes the trials to the database of --storage; None: they go to the journal."""
    return None if workers.storage is None else DatabaseExport(workers.storage, store, folder, flag.check)


def _report_upgrade(store: Store, fingerprint: dict[str, Any]) -> None:
    """Say that a new study differs from an earlier one in versions only, which nobody asked for."""
    for folder in store.studies():
        with suppress(StoreError):  # a damaged study is reported when it is used
            if found := version_differences(folder.fingerprint, fingerprint):
                say(f"Study {folder.name} has these settings under other versions, this is a new one: {found[0]}")
                return


def _nothing_is_left(request: SearchRequest, store: Store, folder: StudyFolder, trials: int) -> bool:
    """Tell whether all trials are finished and uploaded, as far as the store knows: `--sync` asks MLflow."""
    if store.storage is not None:  # the store does not know what a database has
        return False
    record = folder.upload_record()
    if record is None or folder.numbers() != list(range(trials)):
        return False
    made_again = [store.journal, folder.report, *([store.database] if store.database is not None else [])]
    if not all(exists(path) for path in made_again):
        return False
    if request.final.finalists and not is_held(folder):
        return False
    if request.figures == "svg" and record.figures != "svg":
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
        request, config, folder, folder.results_without_weights(), 0, model, "", "", False,
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
    storage_error: str,
    interrupted: bool,
    seconds: dict[str, float],
) -> SearchOutcome:
    # That of an earlier run is of fewer trials, if Ctrl-C came before a new final was held.
    is_current = not interrupted or is_held(folder)
    finalists = finalists_in(folder) if is_current else []
    final = folder.final() if request.final.finalists and is_current else None
    baselines = folder.baselines()
    return SearchOutcome(
        study=folder.name,
        choice=config.choice,
        results=results,
        wanted=request.trials,
        interrupted=interrupted,
        new=new,
        digest=study_digest(results, finalists),
        best=best_of(results),
        final=final,
        finalists=[FinalistFigures(f.number, f.params, f.figures) for f in finalists],
        baselines=baselines,
        majority_note=majority_note(final, baselines, folder.class_weight),
        model=model,
        upload_error=upload_error,
        storage_error=storage_error,
        seconds=seconds,
        report=folder.report if exists(folder.report) else None,
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
