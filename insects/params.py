"""Parameters of training: `TrialParams` of one trial, `Recipe` shared by all trials of a study."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Literal, get_args

from insects.errors import InsectsError

Schedule = Literal["cosine", "constant"]
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
ClassWeight = Literal["none", "balanced"]
CLASS_WEIGHTS: tuple[ClassWeight, ...] = get_args(ClassWeight)
Metric = Literal["loss", "accuracy", "balanced-accuracy", "roc-auc"]
METRIC_NAMES: tuple[Metric, ...] = get_args(Metric)

# Larger networks exceed any memory. Refusing them here fails before the search, not once in every trial.
MOST_LAYERS, MOST_UNITS, MOST_EPOCHS = 1_000, 1_000_000, 1_000_000


class ParamsError(InsectsError):
    """A parameter of training is out of its bounds or of a wrong type."""


@dataclass(frozen=True)
class TrialParams:
    """The four hyperparameters that a search chooses.

    Attributes:
        depth: Hidden layers, 0 to `MOST_LAYERS`; with 0 the network is softmax regression, and `width` has no effect.
        width: Units of each hidden layer, 1 to `MOST_UNITS`.
        lr: Adam's learning rate at the first step, finite and above 0.
        batch_size: Rows of a step, at least 1.

    Raises:
        ParamsError: A value is out of these bounds or of another type.
    """

    depth: int
    width: int
    lr: float
    batch_size: int

    def __post_init__(self) -> None:
        for name, least in (("depth", 0), ("width", 1), ("batch_size", 1)):
            value = getattr(self, name)
            # bool is a subclass of int: JSON's `true` would pass as 1.
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ParamsError(f"{name} must be a whole number of at least {least}, found {value!r}", parameter=name)
        for name, most in (("depth", MOST_LAYERS), ("width", MOST_UNITS)):
            if getattr(self, name) > most:
                found = str(getattr(self, name))[:40]
                raise ParamsError(f"{name} must be at most {most}, found {found}", parameter=name)
        if isinstance(self.lr, bool) or not isinstance(self.lr, (int, float)):
            raise ParamsError(f"lr must be a number above 0, found {str(self.lr)[:40]}", parameter="lr")
        if not 0 < self.lr <= sys.float_info.max:
            raise ParamsError(f"lr must be finite and above 0, found {str(self.lr)[:40]}", parameter="lr")
        object.__setattr__(self, "lr", float(self.lr))


FEWEST_EPOCHS, MOST_DEFAULT_EPOCHS, ROWS_SEEN = 20, 60, 12_000


def default_epochs(rows: int) -> int:
    """Epochs of a trial where none are asked for: small tables get more, since what they lack is steps.

    Args:
        rows: Number of training rows.

    Returns:
        As many epochs as it takes to see `ROWS_SEEN` rows, from `FEWEST_EPOCHS` to `MOST_DEFAULT_EPOCHS`.

    Examples:
        >>> [default_epochs(rows) for rows in (100, 300, 600, 50_000)]
        [60, 40, 20, 20]
    """
    return min(MOST_DEFAULT_EPOCHS, max(FEWEST_EPOCHS, -(-ROWS_SEEN // rows)))


@dataclass(frozen=True)
class Recipe:
    """How the trials of a study are trained.

    Attributes:
        epochs: Epochs of a trial that is not pruned, at least 1.
        schedule: Course of the learning rate over these epochs.
        class_weight: What a row counts in every loss: `none`, all the same; `balanced`, N / (C n_c) for a row of class
            c, with the n_c of all N training rows, so that each of the C classes counts the same.
        metric: What chooses the best epoch and the best trial, on the validation rows; see `insects.objective`.

    Raises:
        ParamsError: Fewer than one epoch, or an unknown name.
    """

    epochs: int = 20
    schedule: Schedule = "cosine"
    class_weight: ClassWeight = "none"
    metric: Metric = "loss"

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise ParamsError(f"epochs must be at least 1, found {self.epochs}", parameter="epochs")
        for name, known in (("schedule", SCHEDULES), ("class_weight", CLASS_WEIGHTS), ("metric", METRIC_NAMES)):
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise ParamsError(f"{name} must be one of {', '.join(known)}, found {found!r}", parameter=name)

    def learning_rate(self, lr: float, step: int, steps: int) -> float:
        """Learning rate of one optimizer step.

        The cosine falls from `lr` at step 0 to zero after the last step: Loshchilov and Hutter, SGDR,
        arXiv:1608.03983, eq. 5 without restarts.

        Args:
            lr: Learning rate of the first step.
            step: Step, counted from 0.
            steps: Steps of a full trial.

        Returns:
            The learning rate, between 0 and `lr`.
        """
        if self.schedule == "constant":
            return lr
        return lr * 0.5 * (1.0 + math.cos(math.pi * step / steps))  # eq. 5
