"""Where the time of a search goes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from search.study.loop import Clock


@dataclass
class Stopwatch:
    """Seconds of the main thread since the command began, as they are handed out to names."""

    started: float
    _last: float = field(init=False)
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._last = self.started

    def lap(self, name: str) -> None:
        """Everything since the last lap was `name`."""
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now

    def parts(self, clock: Clock) -> dict[str, float]:
        """All of it as `total`, and in parts, where `loop` is split into what the loop's own clock has seen."""
        parts = dict(self.seconds)
        loop = parts.pop("loop")
        parts["sampling"] = clock.sampling
        parts["storing"] = loop - clock.sampling - clock.waiting
        parts["waiting"] = clock.waiting
        return {"total": sum(self.seconds.values()), **parts}


def covered(spans: list[tuple[float, float]]) -> float:
    """Seconds that are in at least one of the spans."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total
