"""Available memory, and the memory that training one trial takes."""

from __future__ import annotations

from pathlib import Path

from insects.mlp import Shape, parameter_count
from insects.params import TrialParams
from insects.training import Engine

COPIES: dict[Engine, int] = {"compiled": 7, "torch": 10}
"""Arrays as large as the weights at the peak: the initial and the current weights, Adam's two moments, the best
weights, the result and its serialized copy; with torch also the gradients and the optimizer's temporary arrays."""

_CGROUP = Path("/sys/fs/cgroup")
_FLOAT32 = 4  # bytes


def training_bytes(params: TrialParams, shape: Shape, rows: int, engine: Engine) -> int:
    """Peak memory of training one trial, without the training data.

    Args:
        params: The trial's hyperparameters.
        shape: Features and classes of the data.
        rows: Training rows.
        engine: The engine that trains.

    Returns:
        Bytes, approximately.
    """
    batch = min(params.batch_size, rows) if engine == "compiled" else rows
    return _FLOAT32 * (COPIES[engine] * parameter_count(params, shape) + batch * shape.features)


def available() -> int | None:
    """Bytes that can still be allocated, swap included; None where the system does not report them."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        free = sum(1024 * int(lines[name].split()[0]) for name in ("MemAvailable", "SwapFree"))
    except (OSError, ValueError, KeyError):
        return None
    # In a container /proc/meminfo reports the memory of the whole machine; the limit is in its control group.
    try:
        limit, used = (int((_CGROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no control group, or no limit: the file then holds `max`
        return free
    return max(0, min(free, limit - used + _reclaimable()))


def gigabytes(count: int) -> str:
    """A number of bytes as text.

    Examples:
        >>> gigabytes(2_345_678_901)
        '2.3 GB'
    """
    return f"{count / 1e9:.1f} GB"


def _reclaimable() -> int:
    """Bytes of the control group's file cache, which count as used and are freed when memory is needed."""
    try:
        lines = (_CGROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        return int(dict(line.split() for line in lines)["inactive_file"])
    except (OSError, ValueError, KeyError):
        return 0
