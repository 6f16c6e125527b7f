"""Training on the workers of a Dask cluster, which may come and go, as may their scheduler.

A task is handed to one thread of one worker when that is free. So only running trainings are lost with a worker, and
no task goes to a worker that was not admitted. Nothing is left on the cluster: Dask forgets what this client asked for
when the client is gone, and workers end what nobody wants any more.
"""

# mypy: allow-untyped-calls
# (Dask is typed in part only)

from __future__ import annotations

import asyncio
import itertools
import secrets
import threading
from collections import Counter
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from insects import remote
from insects.errors import InsectsError, StudyError
from insects.final import FoldTask
from insects.machine import DeviceRequest, Machine, MachineReport
from insects.remote import Admission, NotAdmittedError
from insects.tasks import StudyRows
from insects.trial import TrialTask
from search.system.terminal import say
from search.workers.canary import keep_canary, known_canary
from search.workers.dask_scheduler import (
    CLOSE_SECONDS,
    POLL_SECONDS,
    DaskScheduler,
    DaskWorker,
    closed,
    quiet,
    workers_of,
)
from search.workers.in_flight import InFlight, TrainingsInFlight
from search.workers.protocol import MemoryCheck
from search.workers.trainings import Trainings, line

MOST_LOSSES = 5
"""Workers in a row that may end while they train a task, before the search ends."""


_Returned = TypeVar("_Returned")


@dataclass(order=True)
class _Job:
    """A task and where it stands."""

    place: int
    task: TrialTask | FoldTask = field(compare=False)
    training: Future[Any] = field(compare=False)
    sent: int = field(default=0, compare=False)
    losses: list[str] = field(default_factory=list, compare=False)

    @property
    def name(self) -> str:
        if isinstance(self.task, FoldTask):
            return f"final-{self.task.trial.number:04d}-{self.task.fold}"
        return f"trial-{self.task.number:04d}"

    def lost(self) -> StudyError:
        trial = self.task.trial if isinstance(self.task, FoldTask) else self.task
        params = trial.params
        return StudyError(
            f"{self.name} (depth {params.depth}, width {params.width}, lr {params.lr:.3g}, batch size "
            f"{params.batch_size}) ended {len(self.losses)} workers in a row, the last with: {self.losses[-1]}; "
            "finished trials are kept: give the workers more memory, then run the same command again"
        )


class DaskWorkers:
    """See `search.workers.protocol.Workers`.

    Args:
        cluster: The address of the scheduler, or its scheduler file.
        request: The device and the engine that are asked for.

    Attributes:
        machines: The kinds of machine that the workers are, the most frequent first.
        machine: The kind that trains, set before `open`.

    Raises:
        StudyError: No scheduler answers, or no worker can train.
    """

    def __init__(self, cluster: str, request: DeviceRequest) -> None:
        try:
            import distributed  # noqa: F401
        except ImportError as error:
            raise StudyError(
                f"a Dask cluster needs the package distributed ({error}): pip install 'insects-search[cluster]'",
                parameter="cluster",
            ) from error
        quiet()
        self._cluster, self._request = cluster, request
        self._scheduler = DaskScheduler(cluster, self._say_that_none_is_there)
        self._trainings = Trainings()
        self.watched = TrainingsInFlight()
        self._places = itertools.count()
        self._name = f"insects-{secrets.token_hex(4)}"
        self._slots: dict[DaskWorker, int] = {}
        self._present: dict[DaskWorker, int] = {}
        self._refused: dict[DaskWorker, str] = {}
        self._left: set[DaskWorker] = set()
        self._said: Counter[str] = Counter()
        self._is_waiting = False
        self._rows_sent = 0
        self._rows_future: Any = None
        self._run: asyncio.Task[None] | None = None
        self._loop, self._closing = asyncio.new_event_loop(), asyncio.Event()
        self._thread = threading.Thread(target=self._run_loop, name="dask", daemon=True)
        self._thread.start()
        try:
            self.machines: Sequence[Machine] = self._call(self._scheduler.machines(request))
        except BaseException:
            self.close()
            raise
        self.machine: Machine = self.machines[0]

    @property
    def count(self) -> int:
        """Trainings that run side by side at the moment, those of workers that are being admitted included."""
        present = [(worker, threads) for worker, threads in self._present.items() if worker not in self._refused]
        return sum(self._slots.get(worker, threads) for worker, threads in present)

    def open(self, rows: StudyRows, check: MemoryCheck, folder: Path) -> None:
        """Admit workers, and wait for the first; see `search.workers.protocol.Workers`."""
        canary = known_canary(self.machine, folder)
        if canary is None:
            canary = self._call(self._scheduler.canary(self._request, self.machine))
        keep_canary(canary, folder)
        self._rows, self._check = rows, check
        self._admission = Admission(self._request, self.machine, canary)
        self._call(self._start())

    def submit(self, task: Any) -> Future[Any]:
        """Queue a task for the next thread that is free."""
        job = _Job(next(self._places), task, self._trainings.begin())
        self.watched.note_beginning()
        self.watched.add(InFlight.of_task(task), job.training)
        self._loop.call_soon_threadsafe(self._queue.put_nowait, job)
        return job.training

    def interrupt(self) -> None:
        """Take back what was submitted: the workers end it within `insects.remote.POLL_SECONDS`."""
        self._trainings.cancel()
        self._end()

    def close(self) -> None:
        """Leave the cluster; a second call does nothing."""
        if self._thread.is_alive():
            self._end()
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join(CLOSE_SECONDS)

    def _end(self) -> None:
        if self._run is not None:
            run, self._run = self._run, None
            with suppress(TimeoutError):  # a scheduler that does not answer is left without good-bye
                asyncio.run_coroutine_threadsafe(_cancelled(run), self._loop).result(CLOSE_SECONDS)

    def _call(self, action: Coroutine[Any, Any, _Returned]) -> _Returned:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result()

    # What follows runs in the loop's thread.

    def _run_loop(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # which closes the loop, and what is open in it
            runner.run(self._closing.wait())

    async def _start(self) -> None:
        self._queue: asyncio.PriorityQueue[_Job] = asyncio.PriorityQueue()
        self._run = asyncio.create_task(self._stay_connected())
        while not self._slots:
            if self._run.done():
                self._run.result()
            if self._refused and len(self._present) == len(self._refused):
                raise StudyError(f"no worker of {self._cluster} is admitted: {next(iter(self._refused.values()))}")
            await asyncio.sleep(POLL_SECONDS / 5)

    async def _stay_connected(self) -> None:
        is_away = False
        while True:
            client = None
            try:
                client = await self._scheduler.connected()
                if is_away:
                    say("The Dask scheduler is back")
                    is_away = False
                await self._serve(client)
            except OSError:
                if not is_away:
                    say(f"The Dask scheduler at {self._cluster} does not answer: waiting for it")
                    is_away = True
            except Exception as error:  # a bug: the search must not wait for ever
                self._fail(error)
                raise
            finally:
                self._rows_future = None
                if client is not None:
                    await closed(client)
            await asyncio.sleep(POLL_SECONDS)

    def _fail(self, error: Exception) -> None:
        while not self._queue.empty():
            self._trainings.end(self._queue.get_nowait().training, error)

    async def _serve(self, client: Any) -> None:
        """Serve the workers of a scheduler, as they come and go, until it is gone.

        Raises:
            OSError: It does not answer any more.
        """
        scheduler, _ = await workers_of(client)
        self._refused.clear()
        serving: dict[DaskWorker, asyncio.Task[None]] = {}
        try:
            while True:
                if client.status != "running":
                    raise ConnectionResetError("the scheduler is gone")
                now, present = await workers_of(client)
                if now != scheduler:
                    raise ConnectionResetError("the scheduler was started again")
                self._present = present
                for worker in serving.keys() - present.keys():
                    self._left.add(worker)
                    serving.pop(worker).cancel()
                    self._refused.pop(worker, None)
                for worker in present.keys() - serving.keys():
                    serving[worker] = asyncio.create_task(self._serve_worker(client, worker, present[worker]))
                self._check_on(serving)
                self._say_who_is_left_out()
                if not self.count:
                    self._say_that_none_is_there()
                # The list of a thousand workers has a megabyte.
                await asyncio.sleep(POLL_SECONDS * (1 + len(present) / 100))
        finally:
            for task in serving.values():
                task.cancel()
            await asyncio.gather(*serving.values(), return_exceptions=True)

    def _check_on(self, serving: dict[DaskWorker, asyncio.Task[None]]) -> None:
        """Begin again with a worker that did not answer, and raise what is a bug."""
        for worker, task in list(serving.items()):
            if task.done() and worker not in self._refused:
                serving.pop(worker)
                if not task.cancelled():
                    task.result()

    async def _serve_worker(self, client: Any, worker: DaskWorker, threads: int) -> None:
        answers = await client.run(remote.admit_aside, self._admission, workers=[worker.address], on_error="return")
        answer = answers.get(worker.address)
        if isinstance(answer, OSError) or answer is None:
            return
        try:
            if not isinstance(answer, MachineReport):
                raise answer
            slots = self._check(answer.free, threads)
        except Exception as error:  # whatever keeps a worker from training, the others go on
            self._refused[worker] = str(error) if isinstance(error, InsectsError) else line(error)
            return
        self._slots[worker] = slots
        self._is_waiting = False
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(slots):
                    group.create_task(self._serve_thread(client, worker))
        except* NotAdmittedError as errors:  # another process has this address now
            self._refused[worker] = str(errors.exceptions[0])
        finally:
            self._slots.pop(worker, None)

    async def _serve_thread(self, client: Any, worker: DaskWorker) -> None:
        while True:
            job = await self._queue.get()
            if not self._trainings.is_open(job.training):
                continue
            try:
                await self._train(client, worker, job)
            except asyncio.CancelledError:
                if worker in self._left:
                    self._lose(job, f"{worker.address} left the cluster")
                else:
                    self._queue.put_nowait(job)
                raise

    async def _train(self, client: Any, worker: DaskWorker, job: _Job) -> None:
        job.sent += 1
        future = client.submit(
            remote.train_on_dask,
            job.task,
            self._rows_on(client),
            self._admission,
            key=f"{self._name}-{job.name}-{job.sent}",
            workers=[worker.address],
        )
        try:
            result = await future
        except NotAdmittedError:
            self._queue.put_nowait(job)
            raise
        except Exception as error:
            if client.status != "running":
                self._queue.put_nowait(job)
            else:
                self._lose(job, line(error))
        else:
            self._trainings.end(job.training, result)
        finally:
            future.release()  # the worker ends what is not wanted any more

    def _rows_on(self, client: Any) -> Any:
        """The rows as the result of a task, begun again if that failed."""
        if self._rows_future is None or self._rows_future.status in ("error", "cancelled", "lost"):
            self._rows_sent += 1
            self._rows_future = client.submit(
                remote.same_rows,
                self._rows,
                key=f"{self._name}-rows-{self._rows_sent}",
                workers=[worker.address for worker in self._slots],
                allow_other_workers=True,  # when all of these are gone
            )
        return self._rows_future

    def _lose(self, job: _Job, reason: str) -> None:
        job.losses.append(reason)
        if len(job.losses) < MOST_LOSSES:
            self._queue.put_nowait(job)
        else:
            self._trainings.end(job.training, job.lost())

    def _say_that_none_is_there(self) -> None:
        if not self._is_waiting:
            self._is_waiting = True
            say(f"No worker for this study is at the Dask scheduler {self._cluster}: waiting for one")

    def _say_who_is_left_out(self) -> None:
        for reason, count in Counter(self._refused.values()).items():
            if count > self._said[reason]:
                self._said[reason] = count
                example = next(worker.address for worker, why in self._refused.items() if why == reason)
                say(f"Workers left out: {count} of {len(self._present)} ({example}), since {reason}")


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
