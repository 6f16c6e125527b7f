"""Loaded by a Dask worker: its canary trial ends with another loss, as on a broken machine."""

from __future__ import annotations

from typing import Any

from insects import machine
from insects.trial import run_trial


def _wrong(*arguments: Any) -> Any:
    result = run_trial(*arguments)
    result.history[-1, 0] += 1e-12
    return result


vars(machine)["run_trial"] = _wrong
