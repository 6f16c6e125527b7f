"""One run of `insects-search`: from its options to a study that is done, delivered and registered."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from insects import devices
from insects.errors import StudyError
from insects.params import Recipe
from insects.splits import Splits, table_digest
from insects.training import Engine
from insects.trial import TrialResult, best_of
from search.commands.timing import Stopwatch, covered
from search.registry.alias import Registered
from search.store.store import Store
from search.store.study_folder import StudyFolder
from search.study.compiling import start_compiling
from search.study.config import Plan, check_identity, default_name, digest, read_configs, study_digest
from search.study.data import DataRequest, SearchData, load_data
from search.study.journal import Ledger
from search.study.loop import Clock, StudyLoop, asked_before
from search.study.pruner import StoppingRule
from search.study.sampler import Proposer, SamplerName
from search.study.space import SearchSpace
from search.study.workers import trials_at_once
from search.system.lock import Held, hold
from search.system.signals import Interrupted, StopFlag, handled
from search.system.terminal import Progress
from search.upload.finishing import finish, opened
from search.upload.uploader import Delivery


@dataclass(frozen=True)
class SearchRequest:
    """A search as asked for on the command line; the names are the options'."""

    data: DataRequest
    space: SearchSpace
    recipe: Recipe
    sampler: SamplerName
    stopping: StoppingRule
    window: int
    seed: int
    configs: Path | None
    device: str
    engine: Engine | None
    trials: int
    study: str | None
    model_name: str
    workers: int | None
    timeout: float | None


@dataclass(frozen=True)
class Outcome:
    """What a search came to. results: every trial of the study. wanted: how many were asked for. new: how many were
    trained in this run."""

    study: str
    choice: devices.Choice
    results: list[TrialResult]
    wanted: int
    new: int
    digest: str
    best: TrialResult | None
    model: Registered | None
    trouble: str
    seconds: dict[str, float]


def run_search(request: SearchRequest, store: Store, started: float) -> Outcome:
    """Search, deliver, register. started: `time.perf_counter()` when the command began.

    Raises: InsectsError: a mistake in the data or the surroundings. Interrupted: a signal came; what was finished is
    kept, and delivered as far as there was time.
    """
    watch = Stopwatch(started)
    flag = StopFlag()
    with ExitStack() as stack:
        delivery = stack.enter_context(opened(store))
        stack.enter_context(handled(flag, delivery.kill))
        data = load_data(request.data, store.path / "images")
        choice = devices.choose(request.device, request.engine, request.space.typical_step_flop(data.splits.shape))
        if choice.engine == "compiled":
            start_compiling()
        plan = _plan(request, choice)
        folder, ledger = _begin(stack, request, store, plan, data)
        workers = 1
        if len(folder.numbers()) < request.trials:
            workers = trials_at_once(request.workers, plan, data.splits)
            delivery.expect_model()
        delivery.open(folder)
        loop = _Loop(request, plan, data.splits, folder, ledger, flag, delivery, workers)
        watch.lap("imports")
        flag.polled = True
        try:
            results = loop.run()
            watch.lap("loop")
            best = best_of(results)
            model = finish(delivery, best, request.model_name, flag.check)
        except Interrupted:
            delivery.interrupt()
            raise
        except StudyError as error:
            delivery.fail(flag.check)
            if delivery.trouble:
                raise StudyError(f"{error}. Not all is in MLflow yet: {delivery.trouble}") from error
            raise
        watch.lap("finishing")
    return Outcome(
        study=folder.name,
        choice=choice,
        results=results,
        wanted=request.trials,
        new=loop.new,
        digest=study_digest(results),
        best=best,
        model=model,
        trouble=delivery.trouble,
        seconds={**watch.parts(loop.clock), "training": loop.training_seconds, **delivery.seconds},
    )


def _plan(request: SearchRequest, choice: devices.Choice) -> Plan:
    return Plan(
        space=request.space,
        recipe=request.recipe,
        sampler=request.sampler,
        stopping=request.stopping,
        window=request.window,
        seed=request.seed,
        configs=() if request.configs is None else read_configs(request.configs),
        choice=choice,
    )


def _begin(
    stack: ExitStack, request: SearchRequest, store: Store, plan: Plan, data: SearchData
) -> tuple[StudyFolder, Ledger]:
    """The study's folder and its ledger, this process's alone until the search ends."""
    identity = plan.identity(data.splits, data.held_out, table_digest(data.held_out), data.images)
    folder = store.study(request.study or default_name(identity))
    folder.make()
    try:
        stack.enter_context(hold(folder.path / "lock"))
    except Held as error:
        raise StudyError(
            f"study {folder.name} is being searched by {error.holder}: wait for it, or choose another --study"
        ) from error
    if folder.exists():
        check_identity(folder.name, folder.identity(), identity)
    # Before a new study is written: the journal may hold another one of its name.
    ledger = Ledger(store.journal, folder.name, digest(identity), plan.space, plan.configs)
    if folder.exists():
        folder.rename_model(request.model_name)
    else:
        folder.begin(identity, data.source, request.model_name, data.splits, data.held_out, data.images)
    return folder, ledger


class _Loop:
    """The study's loop with its workers, its display and its delivery."""

    def __init__(
        self,
        request: SearchRequest,
        plan: Plan,
        splits: Splits,
        folder: StudyFolder,
        ledger: Ledger,
        flag: StopFlag,
        delivery: Delivery,
        workers: int,
    ) -> None:
        self._request, self._delivery, self._workers = request, delivery, workers
        # All that the study has, if that is more: MLflow and Optuna's journal hold the same trials, and the best one is
        # chosen among them. The journal may lack some, and know others whose results were deleted.
        numbers = folder.numbers()
        told = min(ledger.told, max(numbers, default=-1) + 1)
        self._trials = max(request.trials, told, asked_before(numbers, plan.window))
        self.new = 0
        self.training_seconds = 0.0
        self._spans: list[tuple[float, float]] = []
        self._progress = Progress(self._trials, (n for n in numbers if n < self._trials))
        self._parts = (plan, splits, folder, ledger, flag)
        self.clock = Clock()

    def run(self) -> list[TrialResult]:
        plan, splits, folder, ledger, flag = self._parts
        choice = plan.choice
        self._progress.say(f"Study {folder.name}: {choice.engine} engine on the {choice.device} ({choice.reason})")
        deadline = None if self._request.timeout is None else time.monotonic() + self._request.timeout
        with ThreadPoolExecutor(self._workers, thread_name_prefix="trial") as executor:
            loop = StudyLoop(
                plan=plan,
                splits=splits,
                folder=folder,
                ledger=ledger,
                proposer=Proposer(plan.space, plan.sampler, plan.seed, plan.configs),
                executor=executor,
                stop=flag,
                on_result=self._finished,
                on_known=self._known,
                clock=self.clock,
            )
            try:
                return loop.run(self._trials, deadline)
            finally:
                self._progress.close()
                self.training_seconds = covered(self._spans)

    def _finished(self, result: TrialResult) -> None:
        self.new += 1
        self._spans.append((result.started, result.started + result.seconds))
        self._delivery.deliver(result.number)
        self._progress.finished(result.number, result.state, result.valid_loss, result.valid_accuracy)

    def _known(self, result: TrialResult) -> None:
        if result.state == "complete":
            self._progress.known(result.number, result.valid_loss)
