"""Choice of the device and the engine that train a study."""

from __future__ import annotations

from dataclasses import dataclass

from insects.errors import DeviceError
from insects.training import Engine

DEVICES = ("auto", "cpu", "cuda", "mps")

# A training step of torch on an accelerator takes about 300 microseconds of kernel launches, whatever it computes.
# The compiled engine does about 3e10 floating-point operations a second on one core: smaller steps finish sooner there.
LAUNCH_BOUND_FLOP = 300e-6 * 3e10


@dataclass(frozen=True)
class Choice:
    """A device and the engine that trains on it.

    Attributes:
        device: A torch device.
        engine: The engine to train with.
        reason: Why it was chosen, half a sentence for the user.
        accelerator: Model of the accelerator where torch knows it, else empty.
    """

    device: str
    engine: Engine
    reason: str
    accelerator: str = ""


def choose(device: str, engine: Engine | None, step_flop: float) -> Choice:
    """Choose the device and the engine of a study.

    Args:
        device: One of `DEVICES`.
        engine: The requested engine; None: the one that suits the device.
        step_flop: Floating-point operations of a typical training step.

    Returns:
        The choice and its reason.

    Raises:
        DeviceError: The device is not available, or the compiled engine was requested on an accelerator.

    Examples:
        >>> choose("auto", None, step_flop=1e5).engine
        'compiled'
    """
    if device == "auto":
        return _automatic(engine, step_flop)
    if device == "cpu":
        return Choice("cpu", engine or "compiled", "as asked")
    if engine == "compiled":
        raise DeviceError(
            f"the compiled engine trains on the cpu only, found device {device}; choose the torch engine",
            parameter="engine",
        )
    if device not in available_accelerators():
        found = ", ".join([*available_accelerators(), "cpu"])
        raise DeviceError(
            f"device {device} is not available here (found: {found}); choose one of these, or auto", parameter="device"
        )
    return _on_accelerator(device, "as asked")


def available_accelerators() -> list[str]:
    """The accelerators that torch can use here: `cuda`, `mps` or none."""
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, available in found.items() if available]


def _automatic(engine: Engine | None, step_flop: float) -> Choice:
    if engine == "compiled":
        return Choice("cpu", "compiled", "the compiled engine trains on the cpu")
    # Checked before the accelerators are listed: that imports torch, which takes seconds.
    if engine is None and step_flop < LAUNCH_BOUND_FLOP:
        return Choice("cpu", "compiled", "faster for networks this small than any accelerator")
    accelerators = available_accelerators()
    if accelerators:
        return _on_accelerator(accelerators[0], "the first accelerator found")
    return Choice("cpu", engine or "compiled", "no accelerator found")


def _on_accelerator(device: str, reason: str) -> Choice:
    import torch

    return Choice(device, "torch", reason, torch.cuda.get_device_name() if device == "cuda" else "")
