"""The search space, and the only place that turns a proposal into `TrialParams`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from insects.mlp import Shape, parameter_count
from insects.params import TrialParams

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SearchSpace:
    """The values that the sampler may propose. Equal bounds, or a single batch size, fix a value.

    Attributes:
        depth: Inclusive bounds of the number of hidden layers; 0 is softmax regression.
        width: Inclusive bounds of the units of a hidden layer, which have no effect at depth 0.
        lr: Inclusive bounds of the learning rate, searched on a log scale.
        batch_size: The batch sizes to choose from.
    """

    depth: tuple[int, int] = (1, 4)
    width: tuple[int, int] = (16, 256)
    lr: tuple[float, float] = (1e-4, 1e-1)
    batch_size: tuple[int, ...] = (4, 8, 16, 32, 64, 128)

    def __contains__(self, params: TrialParams) -> bool:
        return (
            self.depth[0] <= params.depth <= self.depth[1]
            and self.width[0] <= params.width <= self.width[1]
            and self.lr[0] <= params.lr <= self.lr[1]
            and params.batch_size in self.batch_size
        )

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """Return the space as Optuna's distributions."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        return {
            "depth": IntDistribution(*self.depth),
            "width": IntDistribution(*self.width),
            "lr": FloatDistribution(*self.lr, log=True),
            "batch_size": CategoricalDistribution(self.batch_size),
        }

    def suggest(self, trial: optuna.Trial) -> TrialParams:
        """Let a trial's sampler propose a point of the space."""
        return TrialParams(
            depth=trial.suggest_int("depth", *self.depth),
            width=trial.suggest_int("width", *self.width),
            lr=trial.suggest_float("lr", *self.lr, log=True),
            batch_size=trial.suggest_categorical("batch_size", self.batch_size),
        )

    def from_unit_cube(self, depth: float, width: float, lr: float, batch_size: float) -> TrialParams:
        """Return the point of the space at four coordinates in [0, 1); equal intervals are equal shares of the space.

        Args:
            depth: Coordinate of the depth.
            width: Coordinate of the width.
            lr: Coordinate of the logarithm of the learning rate.
            batch_size: Coordinate of the batch size.
        """
        return TrialParams(
            depth=_nth(self.depth, depth),
            width=_nth(self.width, width),
            lr=min(max(self.lr[0] * (self.lr[1] / self.lr[0]) ** lr, self.lr[0]), self.lr[1]),
            batch_size=self.batch_size[int(batch_size * len(self.batch_size))],
        )

    def widened(self, configs: Iterable[TrialParams]) -> SearchSpace:
        """Return the smallest space that holds this one and `configs`."""
        points = list(configs)
        if not points:
            return self
        return SearchSpace(
            depth=(min(self.depth[0], *(p.depth for p in points)), max(self.depth[1], *(p.depth for p in points))),
            width=(min(self.width[0], *(p.width for p in points)), max(self.width[1], *(p.width for p in points))),
            lr=(min(self.lr[0], *(p.lr for p in points)), max(self.lr[1], *(p.lr for p in points))),
            batch_size=self.batch_size + tuple(sorted({p.batch_size for p in points} - set(self.batch_size))),
        )

    def typical_step_flop(self, shape: Shape) -> float:
        """Return the floating-point operations of a training step in the middle of the space: 6 a parameter and row."""
        middle = TrialParams(
            depth=sum(self.depth) // 2,
            width=sum(self.width) // 2,
            lr=self.lr[0],
            batch_size=sorted(self.batch_size)[len(self.batch_size) // 2],
        )
        return 6.0 * parameter_count(middle, shape) * middle.batch_size


def stored_space(fingerprint: Mapping[str, Any]) -> SearchSpace:
    """Return the smallest space that holds all trials of a study, the configurations that it was given among them.

    Args:
        fingerprint: The study's fingerprint, as read from the store.
    """
    space = SearchSpace(**{name: tuple(bounds) for name, bounds in fingerprint["space"].items()})
    return space.widened(TrialParams(**params) for params in fingerprint["configs"])


def as_dict(params: TrialParams) -> dict[str, int | float]:
    """Return parameters by name, as Optuna and MLflow take them."""
    return asdict(params)


def _nth(bounds: tuple[int, int], share: float) -> int:
    low, high = bounds
    return low + int(share * (high - low + 1))
