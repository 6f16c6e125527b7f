"""A machine that trains: what the bits of a result depend on beside its task, and a trial that shows these bits."""

from __future__ import annotations

import hashlib
import platform
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata

import numpy as np

from insects import memory
from insects.devices import Choice, choose
from insects.errors import DeviceError
from insects.params import Recipe, TrialParams
from insects.spiral import builtin_tables
from insects.splits import split
from insects.training import Engine
from insects.training.host import host
from insects.trial import TrialTask, run_trial

LIBRARIES = ("numba", "numpy", "torch")
"""The libraries that compute in training."""


@dataclass(frozen=True)
class DeviceRequest:
    """The device and the engine that are asked for.

    Attributes:
        device: One of `insects.devices.DEVICES`.
        engine: The engine; None: the one that suits the device.
        step_flop: Floating-point operations of a typical training step.
    """

    device: str
    engine: Engine | None
    step_flop: float


@dataclass(frozen=True)
class Machine:
    """A kind of machine: trainings on two machines of one kind give the same bits.

    Attributes:
        choice: The device and the engine that it trains with.
        processor: The kind of processor, as precisely as the system tells, and the accelerator.
        libraries: Names and versions of `LIBRARIES`.
    """

    choice: Choice
    processor: str
    libraries: tuple[tuple[str, str], ...]

    def difference(self, study: Machine) -> str:
        """Say in what this machine differs from that of a study; empty if it does not."""
        pairs = [("processor", self.processor, study.processor)]
        pairs += [(name, dict(self.libraries)[name], version) for name, version in study.libraries]
        pairs += [("device", self.choice.device, study.choice.device)]
        pairs += [("engine", self.choice.engine, study.choice.engine)]
        return "; ".join(f"its {name} is {own}, the study's {other}" for name, own, other in pairs if own != other)


@dataclass(frozen=True)
class MachineReport:
    """What a worker tells of its machine.

    Attributes:
        machine: Its kind.
        free: Bytes that can still be allocated; None where that is not known.
    """

    machine: Machine
    free: int | None


def machine_of(choice: Choice) -> Machine:
    """The kind of this machine.

    Args:
        choice: The device and the engine that it trains with.
    """
    return Machine(choice, processor_of(choice), tuple((name, _version(name)) for name in LIBRARIES))


def processor_of(choice: Choice) -> str:
    """The kind of processor, as precisely as the system tells: another kind may round a sum differently."""
    if choice.engine == "compiled":
        from insects.training.processor import compiled_for

        kind = compiled_for()
    else:
        kind = host()
    return f"{platform.machine()} {kind}" + (f", {choice.accelerator}" if choice.accelerator else "")


def report(request: DeviceRequest) -> MachineReport:
    """Tell what this machine trains with, and how much memory is free.

    Raises:
        DeviceError: The device is not available here.
    """
    choice = choose(request.device, request.engine, request.step_flop)
    return MachineReport(machine_of(choice), memory.available())


@lru_cache(maxsize=4)
def canary_digest(choice: Choice) -> str:
    """Train a short trial on the built-in rows, and return the hex SHA-256 of all that it gives.

    A machine of the right kind that gives another digest computes wrongly, or runs other code.

    Args:
        choice: The device and the engine to train with.

    Raises:
        DeviceError: The training failed.
    """
    recipe = Recipe(epochs=2)
    params = TrialParams(depth=2, width=24, lr=0.01, batch_size=16)
    task = TrialTask(0, params, recipe, 0, np.full(recipe.epochs, np.inf), choice.engine, choice.device)
    result = run_trial(task, split(builtin_tables()[0])[0])
    if result.state != "complete":
        raise DeviceError(f"the canary trial failed: {result.reason.strip().rpartition(chr(10))[2]}")
    return hashlib.sha256(result.history.astype("<f8").tobytes() + result.weights.astype("<f4").tobytes()).hexdigest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
