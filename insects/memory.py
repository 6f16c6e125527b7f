"""How much memory there is, and how much training takes: images can make a network of billions of weights."""

from __future__ import annotations

from pathlib import Path

from insects.mlp import Shape, parameter_count
from insects.params import TrialParams
from insects.training import Engine

COPIES: dict[Engine, int] = {"compiled": 7, "torch": 10}
"""Arrays of the size of the weights at the most: weights, two moments, the best weights, the initial ones, the result
(torch: gradients too), and one to put the result on the disk."""

_GROUP = Path("/sys/fs/cgroup")
_FLOAT = 4


def training_bytes(params: TrialParams, shape: Shape, rows: int, engine: Engine) -> int:
    """About what training one trial on `rows` rows takes at its peak, besides the rows themselves."""
    batch = min(params.batch_size, rows) if engine == "compiled" else rows
    return _FLOAT * (COPIES[engine] * parameter_count(params, shape) + batch * shape.features)


def available() -> int | None:
    """Bytes that can still be taken, swap included; None where the system does not tell."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        free = sum(1024 * int(lines[name].split()[0]) for name in ("MemAvailable", "SwapFree"))
    except (OSError, ValueError, KeyError):
        return None
    try:  # a container's own limit
        limit, used = (int((_GROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # there is none, or it is `max`
        return free
    return max(0, min(free, limit - used + _cached()))


def gigabytes(count: int) -> str:
    """A number of bytes for a person.

    Examples:
        >>> gigabytes(2_345_678_901)
        '2.3 GB'
    """
    return f"{count / 1e9:.1f} GB"


def _cached() -> int:
    """What a container holds of files and gives back when memory is asked for."""
    try:
        lines = (_GROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        return int(dict(line.split() for line in lines)["inactive_file"])
    except (OSError, ValueError, KeyError):
        return 0
