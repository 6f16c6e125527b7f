"""What one trial is trained with (`TrialParams`), and what all trials of a study share (`Recipe`)."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Literal, get_args

from insects.errors import InsectsError

Schedule = Literal["cosine", "constant"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)

# More has no room in any memory. Said before a search, and not by one failed trial after the other.
MOST_LAYERS, MOST_UNITS, MOST_EPOCHS = 1_000, 1_000_000, 1_000_000


class ParamsError(InsectsError):
    """A configuration that no network can be built or trained from."""


@dataclass(frozen=True)
class TrialParams:
    """The four values that the search chooses.

    depth: hidden layers, 1 to `MOST_LAYERS`. width: units of each hidden layer, 1 to `MOST_UNITS`. lr: Adam's learning
    rate at the first step, finite and above 0. batch_size: rows a step, at least 1.

    Raises: ParamsError: a value outside these bounds or of another type.
    """

    depth: int
    width: int
    lr: float
    batch_size: int

    def __post_init__(self) -> None:
        for name in ("depth", "width", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ParamsError(f"{name} must be a whole number of at least 1, found {value!r}")
        for name, most in (("depth", MOST_LAYERS), ("width", MOST_UNITS)):
            if getattr(self, name) > most:
                raise ParamsError(f"{name} must be at most {most}, found {str(getattr(self, name))[:40]}")
        if isinstance(self.lr, bool) or not isinstance(self.lr, (int, float)):
            raise ParamsError(f"lr must be a number above 0, found {str(self.lr)[:40]}")
        if not 0 < self.lr <= sys.float_info.max:
            raise ParamsError(f"lr must be finite and above 0, found {str(self.lr)[:40]}")
        object.__setattr__(self, "lr", float(self.lr))


@dataclass(frozen=True)
class Recipe:
    """How long a full trial is trained and how its learning rate falls.

    Raises: ParamsError: fewer than one epoch, or a schedule that does not exist.
    """

    epochs: int = 20
    schedule: Schedule = "cosine"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ParamsError(f"epochs must be at least 1, found {self.epochs}")
        if self.schedule not in SCHEDULES:
            raise ParamsError(f"schedule must be one of {', '.join(SCHEDULES)}, found {self.schedule!r}")

    def learning_rate(self, lr: float, step: int, steps: int) -> float:
        """Learning rate of step `step` (from 0) of `steps` in a full trial.

        The cosine falls from `lr` at step 0 to zero after the last step: Loshchilov and Hutter, SGDR,
        arXiv:1608.03983, eq. 5 without restarts.
        """
        if self.schedule == "constant":
            return lr
        return lr * 0.5 * (1.0 + math.cos(math.pi * step / steps))
