"""Loading the compiled engine, or compiling it where it never ran, while the search gets ready."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from insects.errors import DeviceError
from search.system.spawn import starting
from search.system.terminal import say

COMPILE_SECONDS = 3.0  # loading what is compiled takes less
_CONFIG = Path(".numba_config.yaml")  # numba reads it in the working directory


def start_compiling() -> None:
    """Make the engine ready while Optuna loads. The first trial waits for it if it has to.

    Raises: DeviceError: numba's compiler is turned off, or cannot read the user's settings. StoreError: the system
    starts no further thread.
    """
    _check_numba()
    from insects.training import compiled

    engine = threading.Thread(target=compiled.warm_up, daemon=True)
    with starting():
        engine.start()

    def explain() -> None:
        engine.join(COMPILE_SECONDS)
        if engine.is_alive():
            say("Compiling the training engine for this processor: some seconds, once a machine")

    with starting():
        threading.Thread(target=explain, daemon=True).start()


def _check_numba() -> None:
    settings = [name for name in sorted(os.environ) if name.startswith("NUMBA_")]
    settings += [f"{_CONFIG} in the working directory"] if os.path.exists(_CONFIG) else []
    try:
        from numba.core import config
    except Exception as error:  # settings make it raise anything; without any it is a bug
        if not settings:
            raise
        reason = " ".join(str(error).split())[:160]
        raise DeviceError(
            f"the compiled engine needs numba, which cannot be loaded: {reason}; correct {' or '.join(settings)}, "
            "or use --engine torch"
        ) from error
    if getattr(config, "DISABLE_JIT", 0):
        where = "NUMBA_DISABLE_JIT" if "NUMBA_DISABLE_JIT" in settings else f"disable_jit in {settings[-1]}"
        raise DeviceError(
            f"the compiled engine needs numba's compiler, which {where} turns off: unset it, or use --engine torch"
        )
