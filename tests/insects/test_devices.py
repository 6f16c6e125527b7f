"""Choice of device and engine by the size of a training step and by the available accelerators."""

from __future__ import annotations

import pytest
import torch

from insects import devices
from insects.devices import LAUNCH_BOUND_FLOP, Choice, choose
from insects.errors import DeviceError

NEXT_BELOW = LAUNCH_BOUND_FLOP * (1 - 1e-12)


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "available_accelerators", lambda: ["cuda"])
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")


@pytest.mark.usefixtures("one_gpu")
def test_accelerator_is_chosen_from_the_step_size_at_which_launches_no_longer_dominate() -> None:
    assert choose("auto", None, NEXT_BELOW) == Choice(
        "cpu", "compiled", "faster for networks this small than any accelerator"
    )
    assert choose("auto", None, LAUNCH_BOUND_FLOP) == Choice("cuda", "torch", "the first accelerator found", "H100")
    assert choose("auto", "torch", 1.0) == Choice("cuda", "torch", "the first accelerator found", "H100")
    assert choose("auto", "compiled", 1e30) == Choice("cpu", "compiled", "the compiled engine trains on the cpu")
    assert choose("cuda", None, 1.0) == Choice("cuda", "torch", "as asked", "H100")
    assert choose("cpu", None, 1e30) == Choice("cpu", "compiled", "as asked")


def test_cpu_is_chosen_without_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "available_accelerators", list)
    assert choose("auto", None, LAUNCH_BOUND_FLOP) == Choice("cpu", "compiled", "no accelerator found")
    assert choose("auto", "torch", 1.0) == Choice("cpu", "torch", "no accelerator found")
    with pytest.raises(DeviceError, match=r"device mps is not available here \(found: cpu\); choose one of") as error:
        choose("mps", None, 1.0)
    assert error.value.parameter == "device"


@pytest.mark.usefixtures("one_gpu")
def test_compiled_engine_is_refused_on_an_accelerator() -> None:
    with pytest.raises(DeviceError, match=r"trains on the cpu only, found device cuda; choose the torch") as error:
        choose("cuda", "compiled", 1.0)
    assert error.value.parameter == "engine"
