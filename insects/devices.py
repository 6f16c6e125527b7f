"""Which device and engine train a study, and why."""

from __future__ import annotations

from dataclasses import dataclass

from insects.errors import DeviceError
from insects.training import Engine

DEVICES = ("auto", "cpu", "cuda", "mps")

# A training step of a framework on an accelerator costs some 300 microseconds of launches however little it computes.
# The compiled engine does about 3e10 floating-point operations a second on one core: below this it has finished first.
LAUNCH_BOUND_FLOP = 300e-6 * 3e10


@dataclass(frozen=True)
class Choice:
    """A device with the engine that runs there.

    reason: for the user, half a sentence. accelerator: which one it is, as far as torch can tell.
    """

    device: str
    engine: Engine
    reason: str
    accelerator: str = ""


def choose(device: str, engine: Engine | None, step_flop: float) -> Choice:
    """Resolve `--device` and `--engine` for steps of about `step_flop` floating-point operations.

    Raises: DeviceError: the device is not there, or the compiled engine was asked for on an accelerator.
    """
    if device == "auto":
        return _automatic(engine, step_flop)
    if device == "cpu":
        return Choice("cpu", engine or "compiled", "as asked")
    if engine == "compiled":
        raise DeviceError(f"the compiled engine trains on the cpu only, found --device {device}: use --engine torch")
    if device not in available_accelerators():
        found = ", ".join([*available_accelerators(), "cpu"])
        raise DeviceError(f"--device {device} is not available here (found: {found}): choose one of these, or auto")
    return _on_accelerator(device, "as asked")


def available_accelerators() -> list[str]:
    """`cuda` and `mps`, as far as torch can use them here."""
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, available in found.items() if available]


def _automatic(engine: Engine | None, step_flop: float) -> Choice:
    if engine == "compiled":
        return Choice("cpu", "compiled", "the compiled engine trains on the cpu")
    if engine is None and step_flop < LAUNCH_BOUND_FLOP:
        return Choice("cpu", "compiled", "faster for networks this small than any accelerator")
    accelerators = available_accelerators()
    if accelerators:
        return _on_accelerator(accelerators[0], "the first accelerator found")
    return Choice("cpu", engine or "compiled", "no accelerator found")


def _on_accelerator(device: str, reason: str) -> Choice:
    import torch

    return Choice(device, "torch", reason, torch.cuda.get_device_name() if device == "cuda" else "")
