"""The scheduler of a Dask cluster: finding it, and asking its workers what they are."""

# mypy: allow-untyped-calls
# (Dask is typed in part only)

from __future__ import annotations

import asyncio
import json
import logging
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from insects import remote
from insects.errors import StudyError
from insects.machine import DeviceRequest, Machine, MachineReport
from search.workers.trainings import line

POLL_SECONDS = 0.5
CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 5.0

_Returned = TypeVar("_Returned")
_Value = TypeVar("_Value", Machine, str)


class DaskWorker(NamedTuple):
    """A worker process; another one may get its address later, but not its folder."""

    address: str
    folder: str


class DaskScheduler:
    """A scheduler that may be away.

    Args:
        cluster: Its address, or its scheduler file.
        say_waiting: Called while it has no workers.
    """

    def __init__(self, cluster: str, say_waiting: Callable[[], None]) -> None:
        self._cluster, self._say_waiting = cluster, say_waiting

    async def connected(self) -> Any:
        """Return a client of the scheduler.

        Raises:
            OSError: No scheduler answers.
            StudyError: Dask's settings do not suit the address.
        """
        from distributed import Client

        try:
            address = self._address()
            _check_encryption(address)
            client: Any = Client(
                address, asynchronous=True, set_as_default=False, timeout=CONNECT_SECONDS, name="insects-search"
            )
        except (ValueError, KeyError) as error:  # no address, or a scheduler file that is half written
            raise ConnectionError(line(error)) from error
        try:
            return await client
        except BaseException:
            await closed(client)
            raise

    def _address(self) -> str:
        if "://" in self._cluster or not (self._cluster.endswith(".json") or Path(self._cluster).exists()):
            return self._cluster
        # Read each time: a scheduler that was started again has another address.
        return str(json.loads(Path(self._cluster).read_text(encoding="utf-8"))["address"])

    async def _first_contact(self, action: Callable[[Any], Awaitable[_Returned]]) -> _Returned:
        try:
            client = await self.connected()
        except OSError as error:
            raise StudyError(
                f"no Dask scheduler answers at {self._cluster}: {line(error)}; start it, or correct the address",
                parameter="cluster",
            ) from error
        try:
            return await action(client)
        except OSError as error:
            raise StudyError(
                f"the Dask scheduler at {self._cluster} went away: {line(error)}; run the same command again",
                parameter="cluster",
            ) from error
        finally:
            await closed(client)

    async def machines(self, request: DeviceRequest) -> list[Machine]:
        """Return the kinds of machine that the workers are, the most frequent first. Waits for a worker.

        Raises:
            StudyError: No scheduler answers, or no worker can train.
        """

        async def ask(client: Any) -> list[Machine]:
            while not (await workers_of(client))[1]:
                self._say_waiting()
                await asyncio.sleep(POLL_SECONDS)
            answers = await client.run(remote.report_aside, request, on_error="return")
            reports = [answer for answer in answers.values() if isinstance(answer, MachineReport)]
            if not reports:
                raise StudyError(f"no worker of {self._cluster} can train: {_reason(answers)}")
            return [machine for machine, _ in _counted([report.machine for report in reports])]

        return await self._first_contact(ask)

    async def canary(self, request: DeviceRequest, machine: Machine) -> str:
        """Return the canary trial's digest that most workers of a kind give.

        Raises:
            StudyError: No scheduler answers, no worker can train, or they disagree.
        """

        async def ask(client: Any) -> str:
            answers = await client.run(remote.report_aside, request, on_error="return")
            alike = [
                address
                for address, answer in answers.items()
                if isinstance(answer, MachineReport) and answer.machine == machine
            ]
            answers = await client.run(remote.canary_aside, request, workers=alike, on_error="return")
            digests = [answer for answer in answers.values() if isinstance(answer, str)]
            if not digests:
                raise StudyError(f"no worker of {self._cluster} can train: {_reason(answers)}")
            counts = _counted(digests)
            if len(counts) > 1 and counts[0][1] == counts[1][1]:
                raise StudyError(
                    f"the workers of {self._cluster} disagree on the canary trial, and this machine is of another kind "
                    f"than theirs ({machine.processor}): end those that compute wrongly, or start the study on a "
                    "machine of their kind"
                )
            return counts[0][0]

        return await self._first_contact(ask)


async def workers_of(client: Any) -> tuple[str, dict[DaskWorker, int]]:
    """Return the id of the scheduler, and its workers with their threads."""
    info = await asyncio.wait_for(client.scheduler.identity(n_workers=-1), CONNECT_SECONDS)
    workers = info["workers"].items()
    return info["id"], {DaskWorker(address, each["local_directory"]): each["nthreads"] for address, each in workers}


async def closed(client: Any) -> None:
    """Close a client, as far as its scheduler answers."""
    with suppress(OSError, TimeoutError):
        await asyncio.wait_for(client.close(timeout=CLOSE_SECONDS / 2), CLOSE_SECONDS)


def _check_encryption(address: str) -> None:
    """Check Dask's settings, where Dask itself would raise a TypeError or a RuntimeError."""
    from distributed import Security

    settings, is_encrypted = Security(), address.startswith("tls://")
    files = settings.get_tls_config_for_role("client")
    if is_encrypted and not (files.get("ca_file") and files.get("cert")):
        raise StudyError(
            f"{address} needs certificates: set ca-file, client.cert and client.key of distributed.comm.tls in Dask's "
            "settings",
            parameter="cluster",
        )
    if settings.require_encryption and not is_encrypted:
        raise StudyError(
            f"Dask's setting distributed.comm.require-encryption refuses {address}: give an address with tls://",
            parameter="cluster",
        )


def _counted(values: list[_Value]) -> list[tuple[_Value, int]]:
    """Return the different values and how often each is there, the most frequent first."""
    return sorted(Counter(values).items(), key=lambda item: (-item[1], str(item[0])))


def _reason(answers: dict[str, Any]) -> str:
    return next((line(answer) for answer in answers.values() if isinstance(answer, Exception)), "they left")


def quiet() -> None:
    """Keep Dask's own messages off stderr: what matters is said in lines of this program."""
    import dask

    for name in ("distributed", *(name for name in logging.root.manager.loggerDict if name.startswith("distributed."))):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"})
    warnings.filterwarnings("ignore", message=".*Mismatched versions found.*")
