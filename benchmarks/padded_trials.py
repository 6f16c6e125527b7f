"""Loaded by a Dask worker (`--preload`): a trial sleeps after its training until `TRIAL_SECONDS` of the environment."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

from insects import tasks
from insects.trial import TrialResult, run_trial


def pad(seconds: float) -> None:
    """Let every trial of this process take so long; 0: as long as its training."""

    def padded(*arguments: Any) -> TrialResult:
        started = time.perf_counter()
        result = run_trial(*arguments)
        time.sleep(max(0.0, seconds - (time.perf_counter() - started)))
        return replace(result, seconds=time.perf_counter() - started)

    vars(tasks)["run_trial"] = padded if seconds else run_trial


pad(float(os.environ.get("TRIAL_SECONDS", "0")))
