"""Which device and engine train a study: by the size of its steps, and by what there is."""

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
def test_accelerator_trains_from_where_its_launches_no_longer_take_the_time() -> None:
    assert choose("auto", None, NEXT_BELOW) == Choice(
        "cpu", "compiled", "faster for networks this small than any accelerator"
    )
    assert choose("auto", None, LAUNCH_BOUND_FLOP) == Choice("cuda", "torch", "the first accelerator found", "H100")
    assert choose("auto", "torch", 1.0) == Choice("cuda", "torch", "the first accelerator found", "H100")
    assert choose("auto", "compiled", 1e30) == Choice("cpu", "compiled", "the compiled engine trains on the cpu")
    assert choose("cuda", None, 1.0) == Choice("cuda", "torch", "as asked", "H100")
    assert choose("cpu", None, 1e30) == Choice("cpu", "compiled", "as asked")


def test_processor_trains_where_there_is_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "available_accelerators", list)
    assert choose("auto", None, LAUNCH_BOUND_FLOP) == Choice("cpu", "compiled", "no accelerator found")
    assert choose("auto", "torch", 1.0) == Choice("cpu", "torch", "no accelerator found")
    with pytest.raises(DeviceError, match=r"--device mps is not available here \(found: cpu\): choose one of these"):
        choose("mps", None, 1.0)


@pytest.mark.usefixtures("one_gpu")
def test_compiled_engine_is_refused_on_an_accelerator() -> None:
    with pytest.raises(DeviceError, match=r"trains on the cpu only, found --device cuda: use --engine torch"):
        choose("cuda", "compiled", 1.0)
