"""What the registered model of a study is made of: the networks of the chosen finalist, or that of the best trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from insects.mlp import Floats
from insects.params import Metric, TrialParams
from insects.trial import TrialResult, best_of
from search.store.study_folder import StudyFolder
from search.study.config import study_digest

VALIDATION, OUT_OF_FOLD = "on validation rows", "out of fold"
"""How a model was judged."""


@dataclass(frozen=True)
class Winner:
    """Which networks become the registered model.

    Attributes:
        number: The trial's number.
        folds: Folds of the final that chose it; 0: there was no final, it is the trial's own network.
    """

    number: int
    folds: int


@dataclass(frozen=True)
class TrainedModel:
    """The networks of a model, and how good they are.

    Attributes:
        number: The trial's number.
        folds: Folds that were held out, one from each network; 0: it is the trial's own network.
        params: Depth and width of the networks, among others.
        weights: `(P,)`, the flat vector of each network.
        metric: What the study is about.
        objective: What it minimizes, on validation rows or out of fold.
        figures: Metrics on the same rows, by name.
        step: The latest best epoch of a network.
    """

    number: int
    folds: int
    params: TrialParams
    weights: tuple[Floats, ...]
    metric: Metric
    objective: float
    figures: dict[str, float]
    step: int

    @property
    def judged_by(self) -> str:
        """The rows that `objective` is of."""
        return OUT_OF_FOLD if self.folds else VALIDATION


def winner_of(folder: StudyFolder, results: Sequence[TrialResult]) -> Winner | None:
    """Return what the registered model is made of.

    Args:
        folder: The study.
        results: All its trials.

    Returns:
        The finalist that the final of these trials chose; without one the best trial; None if no loss is finite.
    """
    record = folder.final()
    if record is not None and record.chosen is not None and record.trials == study_digest(results):
        return Winner(record.chosen, record.folds)
    best = best_of(results)
    return None if best is None else Winner(best.number, 0)


def load_model(folder: StudyFolder, number: int, folds: int) -> TrainedModel | None:
    """Read the networks of a winner; None if one is missing.

    Args:
        folder: The study.
        number: The trial's number.
        folds: See `Winner`.
    """
    if not folds:
        trial = folder.load(number)
        if trial is None:
            return None
        return TrainedModel(
            number=number,
            folds=0,
            params=trial.params,
            weights=(trial.weights,),
            metric=trial.metric,
            objective=trial.objective,
            figures=trial.best_figures,
            step=trial.best_epoch,
        )
    finalist = folder.load_finalist(number, folds)
    if finalist is None:
        return None
    return TrainedModel(
        number=number,
        folds=folds,
        params=finalist.params,
        weights=tuple(fold.trial.weights for fold in finalist.folds),
        metric=finalist.metric,
        objective=finalist.objective,
        figures=finalist.figures,
        step=max(fold.trial.best_epoch for fold in finalist.folds),
    )


def model_title(number: int, folds: int) -> str:
    """Return what a message calls a model."""
    return f"finalist {number}" if folds else f"trial {number}"
